"""One accounting record as it arrives: our names for what RADIUS sends.

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

Who used how much, and when it was received, is read strictly: a record without it is refused. The rest
costs itself only. A name that does not fit is replaced by a digest of it, an address is left out, a time
or length that cannot be is treated as missing, and a record without octets says that the session goes on
or has ended.
"""

from __future__ import annotations

import hashlib
import json
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
# Ten years: servers in laboratories run long; 2^31 and 2^32-1 are what broken counters say.
_SPAN_MAX_S = 3650 * 24 * 3600
# A beginning may be rounded past its event.
_ROUNDED_S = 60
_DELAY_MAX_S = 400 * 24 * 3600
# 4 PiB in one session; beyond it a counter is broken.
_GIGAWORDS_MAX = 2**20
_TEXT_MAX = 64
_ADDRESS_MAX = 45
_DIGITS_MAX = 20
# So much of a name that does not fit stands before its digest.
_READABLE_MAX = 40
_DIGEST_LENGTH = 16
# Before any time that a server can tell: the beginning of the session is not known.
UNKNOWN_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
NO_NAS = "unknown"


class NasEvent(StrEnum):
    """A whole NAS came up or went down: none of its sessions is running any more."""

    ON = "on"
    OFF = "off"


_KINDS = frozenset({*NasEvent, *SampleKind})


@dataclass(frozen=True, slots=True)
class NasRestart:
    """All sessions of a NAS that began before `event_at` are over."""

    nas: str
    event_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One sample of one session, its times resolved against the time of receipt.

    `account_no` is the user name until `ingest` has put the account's number in its place.
    `nas_began_at` may be `UNKNOWN_BEGINNING`; the sample then begins with its event.
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
    kind = _kind(fields)
    nas = _name(fields, "nas") or NO_NAS
    delay = timedelta(seconds=_lenient(fields, "delay_s", _DELAY_MAX_S) or 0)
    sent_at = _received(fields, received_at) - delay
    by_nas_at = _instant(fields, "event_at") or sent_at
    believed = abs(by_nas_at - sent_at) <= timedelta(seconds=SKEW_MAX_S)
    event_at = by_nas_at if believed else sent_at
    if kind in (NasEvent.ON, NasEvent.OFF):
        return NasRestart(nas, event_at)
    session_no = _name(fields, "session")
    if session_no is None:
        raise Malformed("session")
    nas_began_at = _began(fields, kind, by_nas_at)
    up_octets, up_wide = _counter(fields, "input", kind)
    down_octets, down_wide = _counter(fields, "output", kind)
    # Beginning and event were read off the same clock: what corrects one corrects the other.
    began_at = event_at if nas_began_at is None else nas_began_at + (event_at - by_nas_at)
    return Report(
        account_no=_account(fields),
        nas=nas,
        session_no=session_no,
        address=_address(fields),
        nas_began_at=nas_began_at or UNKNOWN_BEGINNING,
        received_at=received_at,
        sample=Sample(
            event_at=event_at,
            kind=SampleKind(kind),
            up_octets=up_octets,
            down_octets=down_octets,
            up_wide=up_wide,
            down_wide=down_wide,
            began_at=began_at,
        ),
    )


def _kind(fields: Mapping[str, Any]) -> str:
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        # Neither of what every record has: the first of them that is missing is named.
        raise Malformed("nas" if isinstance(kind, str) and _absent(fields, "nas") else "kind")
    return kind


def _began(fields: Mapping[str, Any], kind: str, event_at: datetime) -> datetime | None:
    began_at = _instant(fields, "started_at")
    # Ends before it begins: not a time of this session.
    if began_at is None or began_at > event_at + timedelta(seconds=_ROUNDED_S):
        length_s = _lenient(fields, "session_time_s", _SPAN_MAX_S)
        if length_s is None and kind != SampleKind.START:
            return None
        began_at = event_at - timedelta(seconds=length_s or 0)
    if event_at - began_at > timedelta(seconds=_SPAN_MAX_S):
        return None
    return min(began_at, event_at)


def _received(fields: Mapping[str, Any], now: datetime) -> datetime:
    if _absent(fields, "received_at"):
        return now
    seconds = _number(fields, "received_at", _LATEST_S)
    if seconds < _EARLIEST_S:
        raise Malformed("received_at")
    return min(datetime.fromtimestamp(seconds, UTC), now)


def _counter(fields: Mapping[str, Any], name: str, kind: str) -> tuple[int, bool]:
    """Return what the counter says, and whether its gigawords are in it."""
    if _absent(fields, f"{name}_octets") and _absent(fields, f"{name}_gigawords"):
        # Nothing is said. A whole counter of nothing never adds and never takes.
        return 0, kind != SampleKind.START
    octets = _number(fields, f"{name}_octets", WRAP_BYTES * (_GIGAWORDS_MAX + 1) - 1)
    if _absent(fields, f"{name}_gigawords"):
        # Some servers send 64 bits in one figure.
        return octets, octets >= WRAP_BYTES
    gigawords = _number(fields, f"{name}_gigawords", _GIGAWORDS_MAX)
    if octets >= WRAP_BYTES:
        if octets // WRAP_BYTES != gigawords:
            raise Malformed(f"{name}_octets")
        return octets, True
    return octets + WRAP_BYTES * gigawords, True


def _account(fields: Mapping[str, Any]) -> str:
    """Return the user name as the network knows it; which account it is, `ingest` finds out."""
    name = fields.get("account")
    # Some devices send the zero byte at the end of a string.
    user_name = readable(name.strip("\0")) if isinstance(name, str) else None
    if user_name is None:
        raise Malformed("account")
    return user_name


def _instant(fields: Mapping[str, Any], name: str) -> datetime | None:
    # The clock of a NAS that was never set says 1970: no reason to lose the record.
    seconds = _lenient(fields, name, _LATEST_S)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _number(fields: Mapping[str, Any], name: str, largest: int) -> int:
    value = _lenient(fields, name, largest)
    if value is None:
        raise Malformed(name)
    return value


def _lenient(fields: Mapping[str, Any], name: str, largest: int) -> int | None:
    """Return the figure, None where it is missing or cannot be."""
    value = fields.get(name)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        return None
    return value


def _absent(fields: Mapping[str, Any], name: str) -> bool:
    return fields.get(name) is None or fields[name] == ""


def _name(fields: Mapping[str, Any], name: str) -> str | None:
    """Return the name, or what stands for one that does not fit; None where it is missing."""
    value = fields.get(name)
    if isinstance(value, str) and 0 < len(value) <= _TEXT_MAX and value.isascii() and value.isprintable():
        return value
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    readable_part = "".join(c for c in text if c.isascii() and c.isprintable())[:_READABLE_MAX]
    return f"{readable_part}#{digest}"


def _address(fields: Mapping[str, Any]) -> str | None:
    """Return the address without zone and prefix length; None where it cannot be one."""
    value = fields.get("address")
    if not isinstance(value, str):
        return None
    address = value.partition("%")[0].partition("/")[0].strip()
    fits = 0 < len(address) <= _ADDRESS_MAX and address.isascii() and address.isprintable()
    return address if fits else None
