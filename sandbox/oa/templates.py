"""Template messages: known templates, required data, one finish event each."""

from __future__ import annotations

import hashlib
import itertools
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.engine import Engine
from sandbox.oa.chat import Chat
from sandbox.oa.errors import ApiError
from sandbox.oa.users import Followers
from sandbox.oa.values import Call, map_of, text_of

FINISH_DELAY_S = 0.2
SAME_ID_S = 600
FIRST_MSG_ID = 3_000_000_000
MOST_TEMPLATES = 25
PLACE = re.compile(r"\{\{(\w+)\.DATA\}\}")
VALUE_LIMITS = {
    "thing": 20,
    "short_thing": 5,
    "character_string": 32,
    "phrase": 5,
    "name": 10,
    "number": 32,
    "letter": 32,
}
KINDS = {
    "character_string": re.compile(r"[\x21-\x7e]+"),
    "number": re.compile(r"\d+(\.\d+)?"),
    "letter": re.compile(r"[A-Za-z]+"),
    "phrase": re.compile(r"[\u4e00-\u9fff]+"),
    "amount": re.compile(r"[¥￥$]?\d{1,10}(\.\d+)?元?"),
    "time": re.compile(r"(\d{4}(-\d{1,2}-\d{1,2}|年\d{1,2}月\d{1,2}日) ?)?\d{1,2}:\d{2}(:\d{2})?"),
}
"""What the platform takes in a field of these kinds; other kinds take any text."""
DEFAULTS = {
    "充值结果通知": (
        "充值账号:{{character_string1.DATA}}\n充值金额:{{amount2.DATA}}\n"
        "充值时间:{{time3.DATA}}\n充值结果:{{phrase4.DATA}}"
    ),
    "账号绑定通知": "绑定账号:{{character_string1.DATA}}\n绑定时间:{{time2.DATA}}\n备注:{{thing3.DATA}}",
    "服务通知": "通知类型:{{thing1.DATA}}\n通知内容:{{thing2.DATA}}\n通知时间:{{time3.DATA}}",
}
"""Templates every sandbox account has; more come by `add`."""

Push = Callable[[str, dict[str, object]], object]

# Faults that decide how a message ends.
ENDINGS = {"user_block": "failed:user block", "system_failed": "failed: system failed"}


@dataclass(frozen=True)
class Template:
    """`content` names its fields as {{thing1.DATA}}."""

    id: str
    title: str
    content: str

    @property
    def places(self) -> list[str]:
        """The names of the fields, in order."""
        return PLACE.findall(self.content)


class Templates:
    """template/send and the list of the account's templates."""

    def __init__(self, engine: Engine, followers: Followers, chat: Chat, push: Push) -> None:
        self._engine = engine
        self._followers = followers
        self._chat = chat
        self._push = push
        self._serial = itertools.count(FIRST_MSG_ID)
        self._sent: dict[tuple[str, str], tuple[int, float]] = {}
        self.known: dict[str, Template] = {}
        for title, content in DEFAULTS.items():
            self.add(title, content)

    def add(self, title: str, content: str) -> Template:
        """Give the account a template; its id is the same in every sandbox of this account."""
        template_id = id_of(self._engine.credentials.app_id, title, content)
        if len(self.known) >= MOST_TEMPLATES and template_id not in self.known:
            raise ValueError("an account has at most 25 templates")
        self.known[template_id] = Template(template_id, title, content)
        return self.known[template_id]

    def list(self, _call: Call) -> dict[str, object]:
        """template/get_all_private_template."""
        rows = [
            {"template_id": item.id, "title": item.title, "content": item.content, "example": ""}
            for item in self.known.values()
        ]
        return {"template_list": rows}

    def send(self, call: Call) -> dict[str, object]:
        """Show a template message and report the finish a moment later."""
        openid = text_of(call.body, "touser")
        template = self.known.get(text_of(call.body, "template_id"))
        if self._followers.get(openid) is None:
            raise ApiError(40003)
        if template is None:
            raise ApiError(40037)
        if not self._followers.follows(openid):
            raise ApiError(43004)
        values = {place: _value(place, map_of(call.body, "data")) for place in template.places}
        msg_id, fresh = self._number(openid, text_of(call.body, "client_msg_id"))
        if fresh:
            self._deliver(openid, template, values, text_of(call.body, "url"), msg_id)
        return {"errcode": 0, "errmsg": "ok", "msgid": msg_id}

    def _number(self, openid: str, client_msg_id: str) -> tuple[int, bool]:
        """The message's number, and False when this client_msg_id was sent in the last ten minutes."""
        now = self._engine.clock.timestamp()
        key = (openid, client_msg_id)
        msg_id, sent_at = self._sent.get(key, (0, float("-inf")))
        if client_msg_id and now - sent_at < SAME_ID_S:
            return msg_id, False
        msg_id = next(self._serial)
        if client_msg_id:
            self._sent[key] = (msg_id, now)
        return msg_id, True

    def _deliver(
        self, openid: str, template: Template, values: dict[str, str], url: str, msg_id: int
    ) -> None:
        fault = self._engine.faults.take("template_finish")
        status = ENDINGS.get(fault.name if fault is not None else "", "success")
        if status == "success":
            text = PLACE.sub(lambda found: values[found[1]], template.content)
            self._chat.add(
                openid, "oa", "template", text, content={"title": template.title, "url": url, "data": values}
            )
        if fault is not None and fault.name == "lost":
            return
        event: dict[str, object] = {
            "MsgType": "event",
            "Event": "TEMPLATESENDJOBFINISH",
            "MsgID": msg_id,
            "Status": status,
        }
        self._engine.scheduler.after(FINISH_DELAY_S, lambda: self._push(openid, event))


def id_of(app_id: str, title: str, content: str) -> str:
    """The id that a template has in every sandbox of this account."""
    return urlsafe_b64encode(hashlib.sha256(f"{app_id}:{title}:{content}".encode()).digest()).decode()[:43]


def _value(place: str, data: dict[str, Any]) -> str:
    value = map_of(data, place).get("value")
    text = str(value) if isinstance(value, str | int) else ""
    kind = place.rstrip("0123456789")
    limit = VALUE_LIMITS.get(kind, 200)
    if not text or len(text) > limit or (kind in KINDS and not KINDS[kind].fullmatch(text)):
        raise ApiError(47003, f"data.{place}.value invalid")
    return text
