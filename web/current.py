"""The one way from a request to the services."""

from __future__ import annotations

from flask import current_app

from web.services import WebServices

KEY = "campusnet"


def services() -> WebServices:
    """The services of the application that answers now. Raises: TypeError - the application is not wired."""
    found = current_app.extensions.get(KEY)
    if not isinstance(found, WebServices):
        raise TypeError(f"app.extensions[{KEY!r}] holds no WebServices")
    return found
