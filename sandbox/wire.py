"""The log of every HTTP exchange between the simulated platform and the site under test."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import requests

from sandbox.clock import VirtualClock

KEEP = 500
BODY_LIMIT = 20_000


@dataclass
class Exchange:
    """One request and its answer, as a developer wants to read it.

    `direction` is "in" (site calls the platform) or "out" (platform calls the site).
    `decrypted` shows the plain text of an encrypted body; `signed` the exact string whose
    signature was made or checked; `verdict` what came of the check.
    """

    id: int
    at: float
    direction: str
    kind: str
    method: str
    url: str
    request_headers: dict[str, str]
    request_body: str
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    took_ms: float = 0.0
    decrypted: str = ""
    decrypted_response: str = ""
    signed: str = ""
    verdict: str = ""
    openid: str = ""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


class WireLog:
    """The last 500 exchanges, oldest first, with ids that only grow."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._items: deque[Exchange] = deque(maxlen=KEEP)
        self._serial = itertools.count(1)
        self._changed = threading.Condition()

    def begin(  # noqa: PLR0917 - the parts of a request in the order they have on the wire
        self, direction: str, kind: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Exchange:
        """Make an exchange; it appears in the log at `finish`."""
        return Exchange(
            next(self._serial),
            self._clock.timestamp(),
            direction,
            kind,
            method,
            url,
            dict(headers),
            text(body),
        )

    def finish(
        self, exchange: Exchange, status: int, headers: Mapping[str, str], body: bytes, took_ms: float
    ) -> None:
        """Add the answer (status 0: none came) and publish the exchange."""
        exchange.status = status
        exchange.response_headers = dict(headers)
        exchange.response_body = text(body)
        exchange.took_ms = round(took_ms, 1)
        with self._changed:
            self._items.append(exchange)
            self._changed.notify_all()

    def since(self, after_id: int, wait_s: float = 0.0) -> list[Exchange]:
        """Exchanges published with an id above `after_id`; waits up to `wait_s` for the first."""
        with self._changed:
            if wait_s and not any(item.id > after_id for item in self._items):
                self._changed.wait(wait_s)
            return [item for item in self._items if item.id > after_id]

    def clear(self) -> None:
        """Forget all exchanges; ids go on growing."""
        with self._changed:
            self._items.clear()


class Outbound:
    """HTTP calls from the platform to the site under test, each written to the log."""

    def __init__(self, log: WireLog, clock: VirtualClock) -> None:
        self._log = log
        self._clock = clock
        self._session = requests.Session()
        self._session.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=32)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def post(
        self,
        kind: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        annotate: Callable[[Exchange], None] | None = None,
        annotate_response: Callable[[Exchange, bytes], None] | None = None,
    ) -> requests.Response | None:
        """POST and log; None when no answer came within `timeout_s` or the connection failed."""
        exchange = self._log.begin("out", kind, "POST", url, headers, body)
        return self._send(
            exchange,
            body=body,
            headers=headers,
            timeout_s=timeout_s,
            annotate=annotate,
            annotate_response=annotate_response,
        )

    def get(
        self,
        kind: str,
        url: str,
        *,
        timeout_s: float,
        annotate: Callable[[Exchange], None] | None = None,
    ) -> requests.Response | None:
        """GET and log; None as for `post`."""
        exchange = self._log.begin("out", kind, "GET", url, {}, b"")
        return self._send(
            exchange, body=b"", headers={}, timeout_s=timeout_s, annotate=annotate, annotate_response=None
        )

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def _send(
        self,
        exchange: Exchange,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_s: float,
        annotate: Callable[[Exchange], None] | None,
        annotate_response: Callable[[Exchange, bytes], None] | None,
    ) -> requests.Response | None:
        if annotate is not None:
            annotate(exchange)
        started = self._clock.timestamp()
        try:
            response = self._session.request(
                exchange.method,
                exchange.url,
                data=body,
                headers=dict(headers),
                timeout=timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            exchange.verdict = exchange.verdict or type(error).__name__
            took_ms = (self._clock.timestamp() - started) * 1000
            self._log.finish(exchange, 0, {}, str(error).encode(), took_ms)
            return None
        if annotate_response is not None:
            annotate_response(exchange, response.content)
        took_ms = (self._clock.timestamp() - started) * 1000
        self._log.finish(exchange, response.status_code, response.headers, response.content, took_ms)
        return response


def text(body: bytes) -> str:
    """A body as text for the log, cut at 20,000 bytes."""
    shown = body[:BODY_LIMIT].decode("utf-8", "replace")
    return shown if len(body) <= BODY_LIMIT else f"{shown}… ({len(body)} bytes)"
