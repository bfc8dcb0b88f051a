"""What may stand in an address: numbers and codes, all of them printable."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.exceptions import NotFound


def register(app: Flask) -> None:
    """Every page gets only such parts of its address as can name something."""
    app.url_value_preprocessor(_only_printable)


def _only_printable(_endpoint: str | None, parts: dict[str, Any] | None) -> None:
    # Nothing of ours has a control character in its name, and PostgreSQL takes no NUL as text: without
    # this a page that looks it up would fail instead of not being there.
    if any(isinstance(part, str) and not part.isprintable() for part in (parts or {}).values()):
        raise NotFound
