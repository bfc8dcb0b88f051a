"""Host names: pages answer under their own names only, health checks under any."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, request
from werkzeug.exceptions import MisdirectedRequest, SecurityError
from werkzeug.sansio.utils import get_host, host_is_trusted

# Balancers ask by address; the answers hold no links.
ANY_HOST = frozenset({"public.healthz", "public.readyz"})


def register(app: Flask, trusted: Collection[str]) -> None:
    """Refuse requests for other hosts before any view runs; an empty `trusted` accepts every host."""
    if not trusted:
        return

    def check() -> None:
        if request.endpoint in ANY_HOST:
            return
        host = request.headers.get("Host")
        try:
            known = host is not None and host_is_trusted(get_host(request.scheme, host.lower()), trusted)
        except SecurityError:
            known = False
        if not known:
            raise MisdirectedRequest

    app.before_request(check)
