"""What each person sees in the chat: bubbles in order, for the phone page and for tests."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from sandbox.clock import VirtualClock

KEEP = 1000


@dataclass(frozen=True)
class Bubble:
    """One line of the chat; `sender` is "user", "oa", "pay" or "system"."""

    id: int
    at: float
    sender: str
    kind: str
    text: str = ""
    content: dict[str, object] = field(default_factory=dict)
    exchange_id: int = 0

    def as_dict(self) -> dict[str, object]:
        """JSON-ready: `content` is spread beside the fixed fields."""
        return {
            **self.content,
            "id": self.id,
            "at": self.at,
            "from": self.sender,
            "kind": self.kind,
            "text": self.text,
            "exchange_id": self.exchange_id,
        }


class Chat:
    """The last 1000 bubbles of every person who has any; ids grow over all persons."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._bubbles: dict[str, deque[Bubble]] = {}
        self._watched: set[str] = set()
        self._serial = itertools.count(1)
        self._changed = threading.Condition()

    def watch(self, openid: str) -> None:
        """Keep mass messages of this person as bubbles, too (somebody may look at their phone)."""
        self._watched.add(openid)

    def watches(self, openid: str) -> bool:
        """Was `watch` called for this person?"""
        return openid in self._watched

    def add(
        self,
        openid: str,
        sender: str,
        kind: str,
        text: str = "",
        *,
        content: dict[str, object] | None = None,
        exchange_id: int = 0,
    ) -> Bubble:
        """Append a bubble and wake whoever waits for one."""
        with self._changed:
            bubble = Bubble(
                next(self._serial), self._clock.timestamp(), sender, kind, text, content or {}, exchange_id
            )
            self._bubbles.setdefault(openid, deque(maxlen=KEEP)).append(bubble)
            self._changed.notify_all()
        return bubble

    def since(self, openid: str, after_id: int, wait_s: float = 0.0) -> list[Bubble]:
        """Bubbles with an id above `after_id`; waits up to `wait_s` for the first of them."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while True:
                found = [item for item in self._bubbles.get(openid, ()) if item.id > after_id]
                left_s = deadline - time.monotonic()
                if found or left_s <= 0:
                    return found
                self._changed.wait(left_s)

    def clear(self) -> None:
        """Forget all bubbles; ids go on growing."""
        with self._changed:
            self._bubbles.clear()
