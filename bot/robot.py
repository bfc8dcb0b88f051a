"""WeRoBot as the message router: our table first, its decorators next, `otherwise` last."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import structlog
from werobot.messages.events import UnknownEvent, WeChatEvent
from werobot.messages.messages import UnknownMessage
from werobot.parser import process_message
from werobot.robot import BaseRoBot

from bot.context import Answer, ChatState, Context, Push, Silence, Text
from bot.index import Index
from bot.log import pseudonym
from bot.routes import Route
from bot.werobot_replies import ForeignReply, accept
from models.errors import Refused

S = TypeVar("S")

# No letters or digits that are read wrongly over the phone.
_CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_EXTRA_TYPES = [
    "masssendjobfinish_event",
    "subscribe_msg_popup_event_event",
    "subscribe_msg_change_event_event",
    "subscribe_msg_sent_event_event",
]

_log = structlog.get_logger(__name__)


class MassSendJobFinishEvent(WeChatEvent):  # type: ignore[misc]
    """The result of a mass message; known to WeRoBot by being declared."""

    __type__ = "masssendjobfinish_event"


class CampusRobot(BaseRoBot, Generic[S]):  # type: ignore[misc]
    """Answers pushes. `@robot.text`, `@robot.key_click(...)` and the other decorators add to the table."""

    message_types = BaseRoBot.message_types + _EXTRA_TYPES

    def __init__(self, routes: Iterable[Route[S]], services: S) -> None:
        # WeRoBot opens an SQLite file by itself unless sessions are refused.
        super().__init__(enable_session=None, SESSION_STORAGE=False)
        self._index = Index(routes)
        self._services = services

    def answer(self, push: Push, state: ChatState, now: datetime) -> Answer | ForeignReply:
        """The answer to a push; a handler that raises is answered for, never silent."""
        try:
            return self._answer(push, state, now)
        except Refused as refused:
            return Text(refused.text)
        except Exception as error:  # noqa: BLE001 - the guard around every handler
            return Text(apology(error, push))

    def get_reply(self, message: Any) -> Any:
        """What the decorated handlers say to a WeRoBot message; unlike WeRoBot's own, errors are raised."""
        # A kind WeRoBot does not know keeps its name; its handlers are those for the unknown.
        unknown = "unknown_event" if message.type.endswith("_event") else "unknown"
        kind = message.type if message.type in self._handlers else unknown
        for handler, argument_count in self.get_handlers(kind):
            reply = handler(*[message, None][:argument_count])
            if reply:
                return reply
        return None

    def _answer(self, push: Push, state: ChatState, now: datetime) -> Answer | ForeignReply:
        context = Context(push, state, self._services, now)
        handler = self._index.find(push, state)
        if handler is not None:
            return handler(context)
        reply = self._ask_decorated(push)
        if reply is not None:
            return accept(reply)
        # Nobody waits for an answer to an event; a person who wrote or tapped does, in new ways, too.
        waits = push.kind == "click" or push.fields.get("MsgType") != "event"
        return self._index.otherwise(context) if waits else Silence()

    def _ask_decorated(self, push: Push) -> Any:
        # WeRoBot shows an empty text as None, on which its own filters stumble.
        if not any(self._handlers.values()) or (push.kind == "text" and not push.text):
            return None
        return self.get_reply(message_of(push.fields))


def build_robot(routes: Iterable[Route[S]], services: S) -> CampusRobot[S]:
    """The robot that answers by this table with these services."""
    return CampusRobot(routes, services)


def message_of(fields: Mapping[str, Any]) -> Any:
    """WeRoBot's message object for checked fields."""
    copy = dict(fields)
    is_event = copy.get("MsgType") == "event"
    try:
        return process_message(copy)
    except (KeyError, TypeError, ValueError, AttributeError):
        # A picture event without its pictures, for one: WeRoBot's classes read them when they are made.
        rest = {**fields, "type": "unknown_event" if is_event else "unknown"}
        return (UnknownEvent if is_event else UnknownMessage)(rest)


def apology(error: Exception, push: Push, draw: Callable[[str], str] = secrets.choice) -> str:
    """Words for the person with a code under which the log has the error."""
    code = "E-" + "".join(draw(_CODE_LETTERS) for _ in range(4))
    _log.error("handler failed", code=code, kind=push.kind, who=pseudonym(push.openid), exc_info=error)
    return f"抱歉，系统出了点问题，请稍后再试。如果一直这样，请把编号 {code} 告诉我们。"
