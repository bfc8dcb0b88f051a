"""From the fields of a verified push to plain words, and nothing that was not asked for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.context import Push
from bot.xmlread import Tree
from models.errors import Malformed

OPENID = re.compile(r"[0-9A-Za-z_-]{1,64}")
NUMBER = re.compile(r"[0-9]{1,20}")
EVENT_NAME = re.compile(r"[A-Z][0-9A-Za-z_]{0,63}")

TEXT_CHARS_MAX = 1000

# No push is of later than this (the year 5138): a longer number is no time.
SECONDS_MAX = 10**11

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

    A field that is not used may hold anything and is left out; refusing it would refuse the whole push. So
    may an unknown one, whose name would otherwise become an attribute of WeRoBot's message (`source`).

    Args:
        original_id: our account's `gh_...`; empty when it is not configured.

    Raises:
        Malformed: a field that is used is missing or of the wrong type, or the push is for another account.
    """
    kind = _leaf(tree, "MsgType").lower()
    known = FIELDS.get(kind, frozenset())
    fields: Tree = {}
    for name, value in tree.items():
        if (isinstance(value, str) and (name in COMMON or name in known)) or (
            isinstance(value, dict) and name in STRUCTURES
        ):
            fields[name] = value
    if kind == "text" and not isinstance(tree.get("Content", ""), str):
        raise Malformed("Content")
    fields["MsgType"] = kind
    _check_identity(fields, original_id)
    if kind == "event":
        fields["Event"] = _leaf(tree, "Event")
        if not EVENT_NAME.fullmatch(fields["Event"].capitalize()):
            raise Malformed("Event")
    return fields


def dedup_key(fields: Mapping[str, Any]) -> str:
    """The same for every delivery of one push and different for two pushes; starts with the openid."""
    message_id = fields.get("MsgId")
    openid: str = fields["FromUserName"]
    if message_id:
        return f"{{{openid}}}:{message_id}"
    if fields["MsgType"] != "event":
        # Two messages of one second; a repetition has the same bytes.
        said = json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()
        return f"{{{openid}}}:{fields['CreateTime']}:{hashlib.sha256(said).hexdigest()[:32]}"
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
        _sent_at(fields["CreateTime"]),
    )


def _sent_at(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), tz=UTC) if 0 < int(seconds) < SECONDS_MAX else None


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
    if not NUMBER.fullmatch(fields.get("MsgId", "").strip()):
        # Told from others by its content instead.
        fields.pop("MsgId", None)


def _leaf(tree: Tree, name: str) -> str:
    value = tree.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{name} is missing")
    return value.strip()
