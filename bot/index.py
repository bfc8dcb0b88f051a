"""Which handler answers: looked up, never tried in turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import re2

from bot.context import ChatState, Handler, Push
from bot.push import normalise
from bot.routes import Route

S = TypeVar("S")


class Index(Generic[S]):
    """A table of routes as dictionaries and one regular expression."""

    def __init__(self, routes: Iterable[Route[S]]) -> None:
        """Sort the table.

        Raises:
            ValueError: two routes claim the same key, or there is not exactly one `otherwise`.
        """
        self._exact: dict[str, dict[str, Handler[S]]] = {"word": {}, "click": {}, "event": {}, "state": {}}
        patterns: list[tuple[str, Handler[S]]] = []
        otherwise: list[Handler[S]] = []
        for route in routes:
            if route.by == "otherwise":
                otherwise.append(route.handler)
            elif route.by == "pattern":
                patterns.extend((regex, route.handler) for regex in route.keys)
            else:
                self._add(route)
        if len(otherwise) != 1:
            raise ValueError("a table needs exactly one `otherwise`")
        self.otherwise = otherwise[0]
        self._words, self._clicks = self._exact["word"], self._exact["click"]
        self._events, self._states = self._exact["event"], self._exact["state"]
        self._pattern = _alternation([regex for regex, _ in patterns])
        self._by_group = {f"_{place}": handler for place, (_, handler) in enumerate(patterns)}

    def find(self, push: Push, state: ChatState) -> Handler[S] | None:
        """The handler the table names for this push, or None when only `otherwise` is left."""
        if push.kind == "text":
            return self._words.get(push.text) or self._states.get(state.name) or self._match(push.text)
        if push.kind == "click" and push.key in self._clicks:
            return self._clicks[push.key]
        return self._events.get(push.kind)

    def _match(self, text: str) -> Handler[S] | None:
        found = self._pattern.fullmatch(text) if self._pattern else None
        # The outer group of an alternative closes last, so it is the one that is named here.
        return self._by_group[found.lastgroup] if found and found.lastgroup else None

    def _add(self, route: Route[S]) -> None:
        table = self._exact[route.by]
        for key in route.keys:
            name = {"word": normalise(key), "event": key.lower()}.get(route.by, key)
            if name in table:
                raise ValueError(f"{route.by} {name!r} is claimed twice")
            table[name] = route.handler


def _alternation(regexes: list[str]) -> re2.Pattern[str] | None:
    if not regexes:
        return None
    return re2.compile("|".join(f"(?P<_{place}>{regex})" for place, regex in enumerate(regexes)))
