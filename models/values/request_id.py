"""Request ids: one id from the proxy through a request and the work it enqueues, in every log line.

The id lives in the logging context of the current thread; `bound` sets it for a block.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

KEY = "request_id"
LENGTH = 32
_FORM = re.compile(rf"[0-9a-fA-F]{{{LENGTH}}}")


def new() -> str:
    """Return a fresh id in the form that nginx gives its own: 32 hex characters."""
    return secrets.token_hex(LENGTH // 2)


def is_id(text: str) -> bool:
    """Return True if the text has the form of a request id."""
    return _FORM.fullmatch(text) is not None


def current() -> str | None:
    """Return the id of the current logging context, None outside of requests and commands."""
    found = get_contextvars().get(KEY)
    return found if isinstance(found, str) else None


@contextmanager
def bound(request_id: str | None) -> Iterator[None]:
    """Log under this id inside the block, under none if it is None; the former id returns afterwards."""
    former = current()
    _set(request_id)
    try:
        yield
    finally:
        _set(former)


def _set(request_id: str | None) -> None:
    if request_id is None:
        unbind_contextvars(KEY)
    else:
        bind_contextvars(**{KEY: request_id})
