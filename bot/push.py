"""From the fields of a verified push to plain words, and nothing that was not asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.context import Push
from bot.xmlread import Tree
from models.errors import Malformed

OPENID = re.compile(r"[0-9A-Za-z_-]{1,64}")
NUMBER = re.compile(r"[0-9]{1,20}")
# A future platform field starts with a capital, so it can be ignored; a lower-case name would
# become an attribute of WeRoBot's message (`source`, `type`), so it is refused.
FIELD_NAME = re.compile(r"[A-Z][0-9A-Za-z_]{0,63}")
LOWER_CASE_NAMES = frozenset({"bizmsgmenuid"})

TEXT_CHARS_MAX = 1000

COMMON = frozenset({"ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId"})
EVENT_FIELDS = frozenset({
    "Event", "EventKey", "Ticket", "MenuId", "Latitude", "Longitude", "Precision", "MsgID", "Status",
    "TotalCount", "FilterCount", "SentCount", "ErrorCount", "CardId", "UserCardCode", "KfAccount",
    "ExpiredTime", "KeyStandard", "KeyStr", "ExtInfo",
})  # fmt: skip
FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"Content", "bizmsgmenuid"}),
    "image": frozenset({"PicUrl", "MediaId"}),
    "voice": frozenset({"MediaId", "Format", "Recognition"}),
    "video": frozenset({"MediaId", "ThumbMediaId"}),
    "shortvideo": frozenset({"MediaId", "ThumbMediaId"}),
    "location": frozenset({"Location_X", "Location_Y", "Scale", "Label"}),
    "link": frozenset({"Title", "Description", "Url"}),
    "event": EVENT_FIELDS,
}
# WeRoBot's messages read these; our handlers do not.
STRUCTURES = frozenset({
    "CopyrightCheckResult", "ArticleUrlResult", "SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent",
    "SubscribeMsgSentEvent", "ScanCodeInfo", "SendPicsInfo", "SendLocationInfo", "ChosenBeacon",
    "AroundBeacons",
})  # fmt: skip

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def normalise(text: str) -> str:
    """Text as routes compare it: stripped, full-width to half-width, lower case."""
    if not text.isascii():
        text = text.translate(_FULL_WIDTH)
    return text.strip().lower()


def check_fields(tree: Tree, *, original_id: str = "") -> Tree:
    """The fields of one push, known ones only, each of its kind.

    Args:
        original_id: our account's `gh_...`; empty when it is not configured.

    Raises:
        Malformed: a field is missing, misnamed, of the wrong type or meant for somebody else.
    """
    kind = _leaf(tree, "MsgType").lower()
    known = FIELDS.get(kind, frozenset())
    fields: Tree = {}
    for name, value in tree.items():
        if not isinstance(value, str):
            if name not in STRUCTURES:
                raise Malformed("unexpected structure")
            fields[name] = value
        elif name in COMMON or name in known:
            fields[name] = value
        elif name not in LOWER_CASE_NAMES and not FIELD_NAME.fullmatch(name):
            raise Malformed("unexpected field name")
    fields["MsgType"] = kind
    _check_identity(fields, original_id)
    if kind == "event":
        fields["Event"] = _leaf(tree, "Event")
        if not FIELD_NAME.fullmatch(fields["Event"].capitalize()):
            raise Malformed("Event")
    return fields


def dedup_key(fields: Mapping[str, Any]) -> str:
    """The same for every delivery of one push and different for two pushes; starts with the openid."""
    message_id = fields.get("MsgId")
    openid: str = fields["FromUserName"]
    if message_id:
        return f"{{{openid}}}:{message_id}"
    parts = (fields.get(name, "") for name in ("CreateTime", "Event", "EventKey", "MsgID", "UserCardCode"))
    return f"{{{openid}}}:{':'.join(parts)}"


def push_of(fields: Mapping[str, Any]) -> Push:
    """Checked fields as a handler sees them."""
    kind = fields["MsgType"]
    # The platform lets a person type less; a longer text is cut before anything looks at it.
    raw_text = fields.get("Content", "")[:TEXT_CHARS_MAX]
    return Push(
        fields["Event"].lower() if kind == "event" else kind,
        fields["FromUserName"],
        normalise(raw_text) if raw_text else "",
        raw_text,
        fields.get("EventKey", ""),
        fields,
    )


def _check_identity(fields: Tree, original_id: str) -> None:
    for name in ("FromUserName", "ToUserName"):
        fields[name] = _leaf(fields, name)
        if not OPENID.fullmatch(fields[name]):
            raise Malformed(name)
    if original_id and fields["ToUserName"] != original_id:
        raise Malformed("meant for another account")
    fields["CreateTime"] = _leaf(fields, "CreateTime")
    if not NUMBER.fullmatch(fields["CreateTime"]):
        raise Malformed("CreateTime")
    if fields.get("MsgId") and not NUMBER.fullmatch(fields["MsgId"]):
        raise Malformed("MsgId")


def _leaf(tree: Tree, name: str) -> str:
    value = tree.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{name} is missing")
    return value.strip()
