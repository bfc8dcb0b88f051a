"""Where a person may be sent after a login: to a page of ours, nowhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

PREFIXES = ("/h5/", "/self/", "/go/")
TARGET_LIMIT_CHARS = 500


def local(target: str | None, default: str) -> str:
    """The target when it is a plain path of our pages, else the default.

    Refuses other hosts in every spelling that browsers accept: two slashes, backslashes, control characters.
    """
    if not target or len(target) > TARGET_LIMIT_CHARS or not target.startswith(PREFIXES):
        return default
    if "\\" in target or any(not character.isprintable() for character in target):
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc or "//" in parts.path or ".." in parts.path else target
