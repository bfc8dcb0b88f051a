"""The table of contents of a conversation: which handler answers what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import re2

from bot.context import Handler

S = TypeVar("S")


@dataclass(frozen=True)
class Route(Generic[S]):
    """One line of the table. Made by the functions below, never by hand.

    `by` is one of word, click, event, state, pattern, otherwise; `keys` what is compared.
    """

    by: str
    keys: tuple[str, ...]
    handler: Handler[S]


def words(handler: Handler[S], *spoken: str) -> Route[S]:
    """Exactly these words, after normalisation. Words win over everything else."""
    return Route("word", spoken, handler)


def click(handler: Handler[S], *keys: str) -> Route[S]:
    """A tap on a menu entry with one of these keys."""
    return Route("click", keys, handler)


def event(handler: Handler[S], *names: str) -> Route[S]:
    """A platform event, lower case: subscribe, unsubscribe, scan, masssendjobfinish, ..."""
    return Route("event", names, handler)


def state(handler: Handler[S], name: str) -> Route[S]:
    """Any text while the conversation is in this state and no word route fits."""
    return Route("state", (name,), handler)


def pattern(handler: Handler[S], *regexes: str) -> Route[S]:
    """A whole normalised text that matches one of these; tried after words and states, in table order.

    Raises: ValueError - not a regular expression of RE2, whose time is linear in the text.
    """
    options = re2.Options()
    options.log_errors = False
    for regex in regexes:
        try:
            re2.compile(regex, options)
        except re2.error as error:
            raise ValueError(f"no regular expression of RE2: {regex}") from error
    return Route("pattern", regexes, handler)


def otherwise(handler: Handler[S]) -> Route[S]:
    """Whatever nothing else answers; exactly one in a table."""
    return Route("otherwise", (), handler)
