"""What a field that is not used may hold: every kind of damage, each to cost that field only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# As JSON values.
VALUES: tuple[Any, ...] = (
    None, "", "x" * 3000, "\x00\ud800\uffff", 7, -1, 1e300, True, [], ["a", "b"], [None], {},
    {"a": {"b": []}}, "http://[", "https://else.test/", 10**200,
)  # fmt: skip


def damaged(document: dict[str, Any], unused: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name and the document, once for each unused field and each value."""
    for field in unused:
        for number, value in enumerate(VALUES):
            yield f"{field} {number}", {**document, field: value}
