"""Messages of our own accord: a customer message while WeChat allows one, a template message after that.

Only WeChat knows whether the 48 hours are over, so the customer message is tried first. A template
message is told apart from its repetition by `client_msg_id`, which WeChat remembers for ten minutes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from bot.client import WechatClient
from bot.customer import Delivery
from bot.errors import (
    ApiRefused,
    QuotaExhausted,
    TemplatesUsedUp,
    TooFast,
    UserUnreachable,
    WindowClosed,
    WindowUsedUp,
)
from bot.render import ELLIPSIS, shorten
from models.errors import Unknown
from models.tidings import WORDS, Form

log = structlog.get_logger()

SEND = "message/template/send"
LIST = "template/get_all_private_template"
# 2 + 4 + ... + 128 s and jitter: within WeChat's memory of a client_msg_id.
SAME_ID_TRIES = 7
# Characters that a field may have. `thing`, `character_string` (no Chinese) and `phrase`: as WeChat's forum
# answers developers whose message was refused with 47003 (developers.weixin.qq.com/community/develop/doc/
# 00066407b58fc04dade12a65a6b000, 000248ab548310582150be66f6bc00, 000648589fc4683da6a12b5e36fc00).
# `amount` and `time` have a form instead of a length, ours are shorter than this. We found no limit of
# `short_thing`, and others miss it, too: five is cautious.
ROOM: Mapping[str, int] = {
    "thing": 20,
    "short_thing": 5,
    "character_string": 32,
    "phrase": 5,
    "amount": 16,
    "time": 32,
}
# No such template, or its fields are not what we fill.
TEMPLATE_WRONG = frozenset({40037, 47003})
_FIELD = re.compile(rf"({'|'.join(ROOM)})[0-9]{{1,2}}")
_PLACE = re.compile(r"\{\{(\w+)\.DATA\}\}")


@dataclass(frozen=True)
class Template:
    """A template of the account: its id, and which of our words goes into which of its fields."""

    id: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Filled:
    """What a template is to say; `once` names the message, `link` is an absolute address."""

    form: Form
    words: Mapping[str, str]
    link: str
    once: str


class Notices:
    """`templates` may lack a form; its messages are then sent within 48 hours only."""

    def __init__(self, client: WechatClient, templates: Mapping[Form, Template]) -> None:
        self._client = client
        self._templates = dict(templates)

    def send(self, openid: str, text: str, filled: Filled | None, *, tries: int) -> Delivery:
        """Tell one person; `tries` counts from 1 with each call for the same message.

        Raises:
            QuotaExhausted: certainly not sent; the account has to wait for its quota.
            TemplatesUsedUp: the same, for template messages alone.
            Unknown: it may have been sent; with the same `filled.once` a template is not sent twice.
            Unavailable: certainly not sent.
            ApiRefused: the customer message is refused, and somebody has to look.
        """
        template = self._templates.get(filled.form) if filled is not None else None
        try:
            self._client.api.message.send_text(openid, shorten(text))
        except (WindowClosed, QuotaExhausted) as refusal:
            if filled is None or template is None:
                return _without_template(refusal)
            try:
                return self._send_template(openid, template, filled, tries)
            except TooFast:
                raise
            except QuotaExhausted as used_up:
                if isinstance(refusal, WindowClosed | WindowUsedUp):
                    raise TemplatesUsedUp(used_up.errcode, used_up.message) from used_up
                raise
        except UserUnreachable:
            return Delivery.UNREACHABLE
        return Delivery.SENT

    def faults(self) -> list[str]:
        """What is wrong with the configured templates, as the platform sees them; empty: nothing."""
        rows = self._client.get(LIST).get("template_list", []) if self._templates else []
        known = {row["template_id"]: set(_PLACE.findall(row["content"])) for row in rows}
        faults = []
        for form, template in self._templates.items():
            if template.id not in known:
                faults.append(f"{form}: the account has no such template")
            elif known[template.id] != set(template.fields):
                faults.append(f"{form}: its fields are {', '.join(sorted(known[template.id]))}")
        return faults

    def _send_template(self, openid: str, template: Template, filled: Filled, tries: int) -> Delivery:
        body = {
            "touser": openid,
            "template_id": template.id,
            "url": filled.link,
            "client_msg_id": hashlib.sha256(filled.once.encode()).hexdigest()[:32],
            "data": {
                field: {"value": fit(field, filled.words[word])} for field, word in template.fields.items()
            },
        }
        try:
            self._client.post(SEND, body)
        except UserUnreachable:
            return Delivery.UNREACHABLE
        except ApiRefused as refusal:
            if refusal.errcode not in TEMPLATE_WRONG:
                raise
            # A wrong template would refuse every message: `campusnet doctor` says so once.
            log.warning("template_refused", form=filled.form, errcode=refusal.errcode)
            return Delivery.REFUSED
        except Unknown:
            if tries <= SAME_ID_TRIES:
                raise
            # WeChat has forgotten the first try by now: another one could be a second message.
            return Delivery.UNKNOWN
        return Delivery.SENT_BY_TEMPLATE


def fit(field: str, value: str) -> str:
    """The value as far as a field of this name has room and takes such characters."""
    kind = field.rstrip("0123456789")
    if kind == "character_string":
        value = "".join(character for character in value if character.isascii())
    room = ROOM[kind]
    return value if len(value) <= room else value[: room - 1] + ELLIPSIS


def fields_of(form: Form, pairs: tuple[str, ...]) -> dict[str, str]:
    """`("thing1=title", ...)` as {field: word}. Raises: ValueError - no such kind of field, no such word."""
    fields = {}
    for pair in pairs:
        field, _, word = pair.partition("=")
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{pair}: the field must be one of {', '.join(ROOM)} and its number")
        if word not in WORDS[form]:
            raise ValueError(f"{pair}: the word must be one of {', '.join(sorted(WORDS[form]))}")
        fields[field] = word
    return fields


def _without_template(refusal: ApiRefused) -> Delivery:
    match refusal:
        case WindowClosed():
            return Delivery.UNREACHABLE
        case WindowUsedUp():
            return Delivery.EXHAUSTED
        case _:
            raise refusal
