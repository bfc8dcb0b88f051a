"""Addresses as platforms write them: parameters appended as text, nothing re-encoded."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit


def with_parameters(url: str, fields: Mapping[str, str]) -> str:
    """`url` with `fields` at the end of its query; what was there stays byte for byte."""
    front, mark, fragment = url.partition("#")
    joiner = "&" if "?" in front else "?"
    return f"{front}{joiner}{urlencode(fields)}{mark}{fragment}"


def inside(url: str, *origins: str) -> str:
    """`url` without its origin when that is one of `origins`; else unchanged."""
    parts = urlsplit(url)
    for origin in origins:
        own = urlsplit(origin)
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            # Two slashes at the start would name another host.
            return "/" + parts._replace(scheme="", netloc="").geturl().lstrip("/")
    return url
