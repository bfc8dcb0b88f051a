"""Where a person may be sent after a login: to the page that was asked for, and to no other site."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from flask import request

PREFIXES = ("/h5/", "/self/", "/go/")
TARGET_LIMIT_CHARS = 500
# What stays as it is in a path and in a query; everything else is percent-encoded.
PATH_SAFE = "/:@!$&'()*+,;="
QUERY_SAFE = f"{PATH_SAFE}?%"


def written(path: str, query: bytes) -> str:
    """The address of a page on this site as a browser writes it, query included."""
    return quote(path, safe=PATH_SAFE) + (f"?{quote(query, safe=QUERY_SAFE)}" if query else "")


def asked() -> str:
    """The address of the page that is asked for now."""
    return written(request.path, request.query_string)


def local(target: str | None, default: str) -> str:
    """The target when it is a plain path of our pages, else the default.

    Refuses other hosts in every spelling that browsers accept: two slashes, backslashes, control characters.
    """
    if not target or len(target) > TARGET_LIMIT_CHARS or not target.startswith(PREFIXES):
        return default
    # What an encoded path means is read once more by browsers and by us: it has to be as plain.
    path = unquote(urlsplit(target).path)
    if any(part in path for part in ("//", "..", "\\")) or "\\" in target:
        return default
    return target if (target + path).isprintable() else default
