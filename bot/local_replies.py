"""De-duplication within one process, for the time without Redis."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_PUSHES = 10_000


@dataclass(slots=True)
class _Push:
    until_s: float
    done: threading.Event = field(default_factory=threading.Event)
    reply: str | None = None


class LocalReplies:
    """The newest pushes and their replies; the oldest are forgotten first."""

    def __init__(self, monotonic: Callable[[], float], *, ttl_s: float, size: int = MAX_PUSHES) -> None:
        self._monotonic = monotonic
        self._ttl_s = ttl_s
        self._size = size
        self._lock = threading.Lock()
        self._pushes: OrderedDict[str, _Push] = OrderedDict()

    def has(self, key: str) -> bool:
        """Whether this process dealt with the push a moment ago."""
        return bool(self._pushes) and self._find(key) is not None

    def begin(self, key: str) -> tuple[bool, str | None]:
        """Claim the push. Returns: whether it is ours, and otherwise the reply if there is one yet."""
        with self._lock:
            known = self._pushes.get(key)
            if known and known.until_s > self._monotonic():
                return False, known.reply
            self._add(key)
            return True, None

    def finish(self, key: str, reply: str) -> None:
        """Store the reply and wake whoever waits for it."""
        with self._lock:
            push = self._pushes.get(key) or self._add(key)
            push.reply = reply
            push.done.set()

    def wait(self, key: str, until_s: float) -> str | None:
        """The reply as soon as it exists; None when the time is up."""
        push = self._find(key)
        if push is None:
            return None
        push.done.wait(max(0.0, until_s - self._monotonic()))
        return push.reply

    def _find(self, key: str) -> _Push | None:
        with self._lock:
            push = self._pushes.get(key)
            return push if push and push.until_s > self._monotonic() else None

    def _add(self, key: str) -> _Push:
        push = _Push(self._monotonic() + self._ttl_s)
        self._pushes[key] = push
        self._pushes.move_to_end(key)
        while len(self._pushes) > self._size:
            self._pushes.popitem(last=False)
        return push
