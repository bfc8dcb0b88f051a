"""What a handler receives and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass
class ChatState:
    """Where a conversation stands: a name and a few values, forgotten after ten minutes.

    Change it with `enter` and `leave` only; it is saved once, after the handler, if it changed.
    `expired` is true when the person had a state that has run out since.
    """

    name: str = ""
    data: dict[str, str] = field(default_factory=dict)
    changed: bool = False
    expired: bool = False

    def enter(self, name: str, data: Mapping[str, str] | None = None) -> None:
        """Go to a state, replacing the one before."""
        self.name, self.data, self.changed = name, dict(data or {}), True

    def leave(self) -> None:
        """Leave any state."""
        if self.name:
            self.name, self.data, self.changed = "", {}, True


@dataclass(frozen=True)
class Push:
    """One verified push in plain words; empty strings where the kind has no such field.

    `kind` is WeChat's MsgType, or the lower-cased Event for events; `text` is normalised
    (stripped, full-width to half-width, lower case), `raw_text` as typed; `key` an EventKey;
    `sent_at` WeChat's time, to the second.
    """

    kind: str
    openid: str
    text: str = ""
    raw_text: str = ""
    key: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    sent_at: datetime | None = None


@dataclass(frozen=True)
class Context(Generic[S]):
    """One push, the conversation it belongs to, and the services to act with."""

    push: Push
    state: ChatState
    services: S
    now: datetime

    @property
    def openid(self) -> str:
        """Who wrote."""
        return self.push.openid


@dataclass(frozen=True)
class Text:
    """A text reply: may hold line breaks, links and tappable words made by `tap`."""

    content: str


@dataclass(frozen=True)
class Article:
    """A reply with a picture-less card that opens a page."""

    title: str
    description: str
    url: str


@dataclass(frozen=True)
class ToHuman:
    """Hand the conversation to a human; WeChat shows nothing, so tell the person by `notice` first."""

    notice: str = ""


@dataclass(frozen=True)
class Silence:
    """No answer at all: for events that nobody waits for."""


Answer = Text | Article | ToHuman | Silence
Handler = Callable[[Context[S]], Answer]


def tap(words: str, shown: str | None = None) -> str:
    """A tappable word: tapping it sends `words` as if typed."""
    from_menu = f"weixin://bizmsgmenu?msgmenucontent={words}&msgmenuid=1"
    return f'<a href="{from_menu}">{shown or words}</a>'


def link(url: str, shown: str) -> str:
    """A link that opens a page in the WeChat browser."""
    return f'<a href="{url}">{shown}</a>'
