"""One accounting record as it arrives, read strictly: our names for what RADIUS sends.

| field | RADIUS attribute | |
|---|---|---|
| `kind` | Acct-Status-Type | `start`, `interim`, `stop`; `on`, `off` for a whole NAS |
| `nas` | NAS-Identifier or NAS-IP-Address | |
| `session`, `account` | Acct-Session-Id, User-Name | |
| `event_at` | Event-Timestamp | seconds since 1970; may be missing |
| `delay_s` | Acct-Delay-Time | how long the NAS has tried to deliver the record |
| `session_time_s` | Acct-Session-Time | or `started_at`, seconds since 1970 by the clock of the NAS |
| `input_octets`, `input_gigawords` | Acct-Input-* | from the user: upload |
| `output_octets`, `output_gigawords` | Acct-Output-* | to the user: download |
| `address` | Framed-IP-Address | may be missing |
| `received_at` | | when the collector received it, for records that were kept for a while |

What is free (intranet, IPv6) must be left out by the NAS with traffic classes: a record does not say
where its bytes went. Figures may be numbers or strings of digits, so that a row of CSV fits as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from billing.embedded.accounts import readable
from billing.embedded.counters import WRAP_BYTES, Sample
from models.errors import Malformed
from models.usage import SampleKind

# Further off than this, the clock of a NAS is not believed.
SKEW_MAX_S = 600
# Receipt lies between 2001 and 2106, the last second that a RADIUS time can hold.
_EARLIEST_S = 978_307_200
_LATEST_S = 2**32 - 1
_SPAN_MAX_S = 400 * 24 * 3600
# 4 PiB in one session; beyond it a counter is broken.
_GIGAWORDS_MAX = 2**20
_TEXT_MAX = 64
_ADDRESS_MAX = 45
_DIGITS_MAX = 20


class NasEvent(StrEnum):
    """A whole NAS came up or went down: none of its sessions is running any more."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class NasRestart:
    """All sessions of a NAS that began before `event_at` are over."""

    nas: str
    event_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One sample of one session, its times resolved against the time of receipt.

    `account_no` is the user name until `ingest` has put the account's number in its place.
    """

    account_no: str
    nas: str
    session_no: str
    address: str | None
    nas_began_at: datetime
    received_at: datetime
    sample: Sample


def read_record(fields: Mapping[str, Any], received_at: datetime) -> Report | NasRestart:
    """A record with its times resolved; `received_at` is now, or in the past for kept records.

    The event happened when the NAS says, unless that is more than ten minutes off from when it was
    sent (receipt less delay): then the clock of the NAS is wrong and the time of sending stands in.
    Raises: Malformed - names the field, never what was in it.
    """
    kind = _text(fields, "kind", 8)
    nas = _text(fields, "nas")
    sent_at = _received(fields, received_at) - timedelta(seconds=_number(fields, "delay_s", _SPAN_MAX_S, 0))
    by_nas_at = _instant(fields, "event_at") or sent_at
    believed = abs(by_nas_at - sent_at) <= timedelta(seconds=SKEW_MAX_S)
    event_at = by_nas_at if believed else sent_at
    if kind in (NasEvent.ON, NasEvent.OFF):
        return NasRestart(nas, event_at)
    if kind not in (SampleKind.START, SampleKind.INTERIM, SampleKind.STOP):
        raise Malformed("kind")
    nas_began_at = _began(fields, kind, by_nas_at)
    up_octets, up_wide = _counter(fields, "input", kind)
    down_octets, down_wide = _counter(fields, "output", kind)
    return Report(
        account_no=_account(fields),
        nas=nas,
        session_no=_text(fields, "session"),
        address=_text(fields, "address", _ADDRESS_MAX) if fields.get("address") else None,
        nas_began_at=nas_began_at,
        received_at=received_at,
        sample=Sample(
            event_at=event_at,
            kind=SampleKind(kind),
            up_octets=up_octets,
            down_octets=down_octets,
            up_wide=up_wide,
            down_wide=down_wide,
            # Beginning and event were read off the same clock: what corrects one corrects the other.
            began_at=nas_began_at + (event_at - by_nas_at),
        ),
    )


def _began(fields: Mapping[str, Any], kind: str, event_at: datetime) -> datetime:
    began_at = _instant(fields, "started_at")
    if began_at is None:
        missing = 0 if kind == SampleKind.START else None
        began_at = event_at - timedelta(seconds=_number(fields, "session_time_s", _SPAN_MAX_S, missing))
    if event_at - began_at > timedelta(seconds=_SPAN_MAX_S):
        raise Malformed("started_at")
    return min(began_at, event_at)


def _received(fields: Mapping[str, Any], now: datetime) -> datetime:
    kept_at = _instant(fields, "received_at")
    return now if kept_at is None else min(kept_at, now)


def _counter(fields: Mapping[str, Any], name: str, kind: str) -> tuple[int, bool]:
    octets = _number(fields, f"{name}_octets", WRAP_BYTES - 1, 0 if kind == SampleKind.START else None)
    if _absent(fields, f"{name}_gigawords"):
        return octets, False
    return octets + WRAP_BYTES * _number(fields, f"{name}_gigawords", _GIGAWORDS_MAX, None), True


def _account(fields: Mapping[str, Any]) -> str:
    """Return the user name as the network knows it; which account it is, `ingest` finds out."""
    name = fields.get("account")
    # Some devices send the zero byte at the end of a string.
    user_name = readable(name.strip("\0")) if isinstance(name, str) else None
    if user_name is None:
        raise Malformed("account")
    return user_name


def _instant(fields: Mapping[str, Any], name: str) -> datetime | None:
    if _absent(fields, name):
        return None
    seconds = _number(fields, name, _LATEST_S, None)
    # The clock of a NAS that was never set says 1970: no reason to lose the record.
    if name == "received_at" and seconds < _EARLIEST_S:
        raise Malformed(name)
    return datetime.fromtimestamp(seconds, UTC)


def _number(fields: Mapping[str, Any], name: str, largest: int, missing: int | None) -> int:
    if _absent(fields, name):
        if missing is None:
            raise Malformed(name)
        return missing
    value = fields[name]
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise Malformed(name)
    return value


def _absent(fields: Mapping[str, Any], name: str) -> bool:
    return fields.get(name) is None or fields[name] == ""


def _text(fields: Mapping[str, Any], name: str, longest: int = _TEXT_MAX) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Malformed(name)
    if not (value.isascii() and value.isprintable()):
        raise Malformed(name)
    return value
