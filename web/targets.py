"""Where a person may be sent after a login: to the page that was asked for, and to no other site."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode, urlsplit

from flask import request

PREFIXES = ("/h5/", "/self/", "/go/")
TARGET_LIMIT_CHARS = 500
HOME = "/h5/recharge"
ADDRESS_BYTES_MAX = 240
# Parameters of pages that can be passed on; never those of a login.
KNOWN_PARAMETERS = frozenset({"account", "amount", "package", "then", "next", "before"})
# What stays as it is in a path and in a query; everything else is percent-encoded.
PATH_SAFE = "/:@!$&'()*+,;="
QUERY_SAFE = f"{PATH_SAFE}?%"


def written(path: str, query: bytes) -> str:
    """The address of a page on this site as a browser writes it, query included."""
    return quote(path, safe=PATH_SAFE) + (f"?{quote(query, safe=QUERY_SAFE)}" if query else "")


def asked() -> str:
    """The address of the page that is asked for now."""
    return written(request.path, request.query_string)


def shareable() -> str:
    """Return the address of the page that is asked for now, as it may be shown and passed on.

    It has the path and the parameters that our own links use, at most 240 bytes without the host: anything
    else in an address may be a secret of the visitor, and drawing a QR code costs time in proportion to its
    length. The address of a callback is never passed on.
    """
    if request.path.endswith("/callback"):
        return HOME
    known = [(name, value) for name, value in request.args.items() if name in KNOWN_PARAMETERS]
    for query in (urlencode(known).encode(), b""):
        address = written(request.path, query)
        if len(address) <= ADDRESS_BYTES_MAX:
            return address
    return HOME


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
