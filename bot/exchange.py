"""One push being answered: within the deadline if possible, later as a customer message if not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from bot.context import Answer, ChatState, Push, Text, ToHuman
from bot.log import pseudonym
from bot.render import as_message, content, envelope
from bot.replies import Claim, ReplyStore
from bot.robot import CampusRobot, apology
from bot.session import change_of, read_state
from bot.werobot_replies import ForeignReply
from models.clock import Clock

MAX_ATTEMPTS = 3
CROSSED = "您的几条消息同时到了，请把刚才那条再发一次。"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Desk:
    """What every exchange works with; `tell` sends a customer message (openid, text)."""

    robot: CampusRobot[Any]
    store: ReplyStore
    clock: Clock
    tell: Callable[[str, str], object]


class Exchange:
    """Runs the handler for one claimed push.

    A handler runs again when another message of the same person changed the conversation
    meanwhile, on the state that this one left: what it does has to bear that.
    """

    def __init__(self, desk: Desk, claim: Claim, push: Push, sender: str) -> None:
        self._desk = desk
        self._claim = claim
        self._push = push
        self._sender = sender
        self._lock = threading.Lock()
        self._taken = ""
        self._reply = ""
        # A lock as a door: held until the exchange is over. An Event costs a condition more.
        self._door = threading.Lock()
        self._door.acquire()

    def run(self) -> None:
        """Answer the push; never raises."""
        words = ""
        try:
            words = self._run()
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave the person without a word
            self._reply = self.render(Text(apology(error, self._push)))
        finally:
            self._door.release()
        if words:
            self._tell(words)

    def wait(self, seconds: float) -> bool:
        """Whether the exchange is over within so many seconds."""
        return self._door.acquire(timeout=max(0.0, seconds))

    @property
    def reply(self) -> str:
        """The rendered reply of an exchange that is over; empty for silence."""
        return self._reply

    def take(self, side: str) -> bool:
        """Whether this side may give the reply; only the first that asks may."""
        with self._lock:
            if self._taken and self._taken != side:
                return False
            self._taken = side
            return True

    def render(self, answer: Answer | ForeignReply) -> str:
        """The reply as XML; empty for silence."""
        inner = answer.content if isinstance(answer, ForeignReply) else content(answer)
        at_s = int(self._desk.clock().timestamp())
        return envelope(inner, to=self._push.openid, sender=self._sender, at_s=at_s) if inner else ""

    def _run(self) -> str:
        """Run the handler. Returns: what is left to say as a customer message."""
        chat = self._claim.chat
        for _ in range(MAX_ATTEMPTS):
            now = self._desk.clock()
            state = read_state(chat, now.timestamp())
            answer, rendered = self._answer(state, now)
            change = change_of(state, chat, now.timestamp())
            reply = rendered if self.take("handler") else None
            crossed = self._desk.store.finish(self._claim, self._push.openid, reply, change)
            if crossed is None:
                return self._deliver(answer, reply)
            chat = crossed.chat
            self._give_back()
        return self._deliver(Text(CROSSED), self.render(Text(CROSSED)) if self.take("handler") else None)

    def _answer(self, state: ChatState, now: datetime) -> tuple[Answer | ForeignReply, str]:
        answer = self._desk.robot.answer(self._push, state, now)
        try:
            return answer, self.render(answer)
        except Exception as error:  # noqa: BLE001 - what a handler answered is part of the handler
            words = Text(apology(error, self._push))
            return words, self.render(words)

    def _give_back(self) -> None:
        with self._lock:
            if self._taken == "handler":
                self._taken = ""

    def _deliver(self, answer: Answer | ForeignReply, reply: str | None) -> str:
        if reply is not None:
            self._reply = reply
            return answer.notice if isinstance(answer, ToHuman) else ""
        return "" if isinstance(answer, ForeignReply) else as_message(answer)

    def _tell(self, words: str) -> None:
        try:
            self._desk.tell(self._push.openid, words)
        except Exception as error:  # noqa: BLE001 - the last act of a thread nobody waits for
            # The platform's quota or the network: the person can ask again.
            _log.warning("message lost", who=pseudonym(self._push.openid), reason=type(error).__name__)
