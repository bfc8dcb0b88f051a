"""Reading fields out of request bodies that anybody may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One API call: query fields, JSON body, the raw bytes and an uploaded file, if any."""

    query: Mapping[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    file: tuple[str, bytes] | None = None


def text_of(body: Mapping[str, Any], name: str) -> str:
    """The string `name`, or "" when it is missing or something else."""
    value = body.get(name)
    return value if isinstance(value, str) else ""


def int_of(body: Mapping[str, Any], name: str) -> int | None:
    """The whole number `name`, also when written as digits in a string; else None."""
    value = body.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def map_of(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object `name`, or an empty one."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def list_of(body: Mapping[str, Any], name: str) -> list[Any]:
    """The array `name`, or an empty one."""
    value = body.get(name)
    return value if isinstance(value, list) else []
