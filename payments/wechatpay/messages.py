"""What WeChat Pay says, as typed values: trade, refund, notification. Pure; verification comes first."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from models.errors import Forged, Malformed
from payments.wechatpay import crypto

TRADE_STATES = frozenset({"SUCCESS", "REFUND", "NOTPAY", "CLOSED", "REVOKED", "USERPAYING", "PAYERROR"})
REFUND_STATES = frozenset({"PROCESSING", "SUCCESS", "ABNORMAL", "CLOSED"})
# Event type to the kind of object inside.
EVENTS = {
    "TRANSACTION.SUCCESS": "transaction",
    "REFUND.SUCCESS": "refund",
    "REFUND.ABNORMAL": "refund",
    "REFUND.CLOSED": "refund",
}
ALGORITHM = "AEAD_AES_256_GCM"
RESOURCE_TYPE = "encrypt-resource"
# Ours are digits and letters only: `|` and `*` are legal but sign differently in different clients.
_OUT_TRADE_NO = re.compile(r"[0-9A-Za-z]{6,32}")
_OUT_REFUND_NO = re.compile(r"[0-9A-Za-z]{6,64}")
# What WeChat allows: others refund in the merchant console under numbers of their own.
_ANY_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
_LONGEST = 128
_LONGEST_DESCRIPTION = 256


@dataclass(frozen=True)
class Trade:
    """One payment as WeChat knows it; fields of the payment are None until it is paid.

    `amount_fen` is the order's total, not what the payer paid after vouchers; `currency` is
    empty where WeChat names none.
    """

    out_trade_no: str
    trade_state: str
    app_id: str
    mch_id: str
    transaction_id: str | None
    openid: str | None = field(repr=False)
    amount_fen: int | None
    currency: str
    paid_at: datetime | None
    raw_state_desc: str
    attach: str = field(default="", repr=False)


@dataclass(frozen=True)
class RefundTrade:
    """One refund as WeChat knows it. `amount_fen` goes back, of the `total_fen` that were paid.

    `currency` and `mch_id` are empty where WeChat names none (notifications, queries);
    `success_at` is None until the money has arrived.
    """

    out_refund_no: str
    refund_id: str
    out_trade_no: str
    transaction_id: str
    status: str
    amount_fen: int
    total_fen: int
    currency: str
    mch_id: str
    success_at: datetime | None


@dataclass(frozen=True)
class Notification:
    """A verified and decrypted notification; `serial` names the key that signed it.

    `resource_plain` is WeChat's object as sent: read it with `trade_from`, never log it.
    """

    event_id: str
    event_type: str
    serial: str
    resource_plain: dict[str, Any] = field(repr=False)


def checked_number(out_trade_no: str) -> str:
    """The number of an order of ours. Raises: ValueError - 6 to 32 digits and letters it is not."""
    if not _OUT_TRADE_NO.fullmatch(out_trade_no):
        raise ValueError("out_trade_no is 6 to 32 digits and letters")
    return out_trade_no


def checked_refund_number(out_refund_no: str) -> str:
    """The number of a refund of ours. Raises: ValueError - 6 to 64 digits and letters it is not."""
    if not _OUT_REFUND_NO.fullmatch(out_refund_no):
        raise ValueError("out_refund_no is 6 to 64 digits and letters")
    return out_refund_no


def refund_path_part(out_refund_no: str) -> str:
    """The number of anybody's refund as part of an address, the same before and after it is sent.

    Raises: ValueError - WeChat has no such numbers.
    """
    if not _ANY_REFUND_NO.fullmatch(out_refund_no):
        raise ValueError("out_refund_no is 1 to 64 digits, letters and _-|*@")
    return quote(out_refund_no, safe="")


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in these bytes. Raises: Malformed."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    if not isinstance(value, dict):
        raise Malformed("no JSON object")
    return value


def trade_from(resource: Mapping[str, Any]) -> Trade:
    """The known fields of a transaction object; all others are left behind.

    Raises: Malformed - a field is missing or of another type; the message names it.
    """
    state = _text(resource, "trade_state")
    if state not in TRADE_STATES:
        raise Malformed("unknown trade_state")
    payer = _object(resource, "payer")
    amount = _object(resource, "amount")
    return Trade(
        out_trade_no=_text(resource, "out_trade_no"),
        trade_state=state,
        app_id=_text(resource, "appid"),
        mch_id=_text(resource, "mchid"),
        transaction_id=_optional_text(resource, "transaction_id"),
        openid=_optional_text(payer, "openid"),
        amount_fen=_fen(amount, "total"),
        currency=_optional_text(amount, "currency") or "",
        paid_at=_moment(_optional_text(resource, "success_time")),
        raw_state_desc=_text(resource, "trade_state_desc", required=False, longest=_LONGEST_DESCRIPTION),
        # Of other systems as well: what they attach is not ours to judge by its length.
        attach=_text(resource, "attach", required=False, longest=None),
    )


def refund_from(resource: Mapping[str, Any]) -> RefundTrade:
    """The known fields of a refund, from an answer or a notification; all others are left behind.

    Raises: Malformed - a field is missing or of another type; the message names it.
    """
    # Answers say `status`, notifications `refund_status`.
    state = _text(resource, "status" if "status" in resource else "refund_status")
    if state not in REFUND_STATES:
        raise Malformed("unknown refund status")
    amount = _object(resource, "amount")
    refund_fen, total_fen = _fen(amount, "refund"), _fen(amount, "total")
    if refund_fen is None or total_fen is None:
        raise Malformed("amount.refund or amount.total is missing")
    return RefundTrade(
        out_refund_no=_text(resource, "out_refund_no"),
        refund_id=_text(resource, "refund_id"),
        out_trade_no=_text(resource, "out_trade_no"),
        transaction_id=_text(resource, "transaction_id"),
        status=state,
        amount_fen=refund_fen,
        total_fen=total_fen,
        currency=_optional_text(amount, "currency") or "",
        mch_id=_optional_text(resource, "mchid") or "",
        success_at=_moment(_optional_text(resource, "success_time")),
    )


def open_notification(raw: bytes, serial: str, api_v3_keys: Sequence[str]) -> Notification:
    """Take a verified notification apart; the keys are tried in order.

    Raises: Malformed - not a notification we know; Forged - sealed with none of our keys.
    """
    envelope = parse_object(raw)
    event_type = _text(envelope, "event_type")
    resource = _object(envelope, "resource")
    if _text(envelope, "resource_type") != RESOURCE_TYPE or event_type not in EVENTS:
        raise Malformed("unknown resource_type or event_type")
    if _text(resource, "algorithm") != ALGORITHM:
        raise Malformed("unknown algorithm")
    if _text(resource, "original_type", required=False) not in {"", EVENTS[event_type]}:
        raise Malformed("original_type and event_type differ")
    return Notification(
        event_id=_text(envelope, "id"),
        event_type=event_type,
        serial=serial,
        resource_plain=parse_object(_unseal(resource, api_v3_keys)),
    )


def _unseal(resource: Mapping[str, Any], api_v3_keys: Sequence[str]) -> bytes:
    ciphertext = _text(resource, "ciphertext", longest=None)
    nonce = _text(resource, "nonce")
    associated_data = _text(resource, "associated_data", required=False)
    for key in api_v3_keys:
        try:
            return crypto.unseal(key, ciphertext, nonce=nonce, associated_data=associated_data)
        except crypto.Undecipherable:
            continue
    raise Forged("ciphertext altered, or the APIv3 key is not ours")


def _text(
    source: Mapping[str, Any], name: str, *, required: bool = True, longest: int | None = _LONGEST
) -> str:
    value = source.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise Malformed(f"{name} is no text")
    if longest is not None and len(value) > longest:
        raise Malformed(f"{name} is too long")
    # Half of a surrogate pair passes JSON and breaks the database and the cipher later.
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Malformed(f"{name} is no valid text")
    return value


def _optional_text(source: Mapping[str, Any], name: str) -> str | None:
    return _text(source, name, required=False) or None


def _object(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{name} is no object")
    return value


def _fen(amount: Mapping[str, Any], name: str) -> int | None:
    value = amount.get(name)
    if value is None:
        return None
    # bool is an int in Python and no amount anywhere; the upper bound keeps it a database integer.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise Malformed(f"amount.{name} is no whole number of fen")
    return value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Malformed("success_time has no zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("success_time is no RFC 3339 time") from None
