"""What may appear in a log about a person."""

from __future__ import annotations

import hashlib


def pseudonym(openid: str) -> str:
    """A short stable name for an openid that cannot be turned back by reading the log."""
    return hashlib.sha256(openid.encode()).hexdigest()[:12]
