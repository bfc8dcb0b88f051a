"""Invented traffic for a demo: what a network would have reported, the same again for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from models.clock import campus_date, next_midnight
from models.usage import SampleKind

NAS = "DEMO-BRAS-01"
INTERIM_S = 300
SESSIONS_MAX = 3
_GIGAWORD = 2**32
# Bytes between two reports: mostly pages and chats, now and then a film.
_QUIET_BYTES = 8_000_000
_FILM_BYTES = 250_000_000
_FILMS = 0.15
# Upload is a small part of download.
_UPLOAD_SHARE = 12
_DAY_S = 24 * 3600
_LONGEST_S = 5 * 3600


def demo_records(
    accounts: Sequence[str], *, seed: int, since: datetime, until: datetime
) -> Iterator[dict[str, Any]]:
    """Records of one to three connections a day of each account, from the campus day of `since` on.

    Nothing that happens after `until`: a connection that is not over yet stays open, and a later
    call with the same seed goes on with it. Connections begin and end within one campus day.
    """
    day = next_midnight(since - timedelta(days=1))
    while day <= until:
        on = f"{campus_date(day):%Y%m%d}"
        for account in accounts:
            # Seeded by text: the same on every machine. Each connection has dice of its own, so that
            # one that is cut off by `until` does not change those after it.
            for number in range(random.Random(f"{seed}:{account}:{on}").randint(1, SESSIONS_MAX)):  # noqa: S311 - a demo
                yield from _session(seed, account, f"{on}-{number}-{account}", day, until)
        day = next_midnight(day)


def _session(
    seed: int, account: str, session: str, day: datetime, until: datetime
) -> Iterator[dict[str, Any]]:
    dice = random.Random(f"{seed}:{session}")  # noqa: S311 - a demo
    began_at = day + timedelta(seconds=dice.randrange(7 * 3600, _DAY_S - _LONGEST_S))
    lasts_s = dice.randrange(600, _LONGEST_S)
    address = f"10.70.{dice.randrange(256)}.{dice.randrange(1, 255)}"
    up = down = 0
    for at_s in (0, *range(INTERIM_S, lasts_s, INTERIM_S), lasts_s):
        if at_s:
            more = dice.randrange(_FILM_BYTES if dice.random() < _FILMS else _QUIET_BYTES)
            up, down = up + more // _UPLOAD_SHARE, down + more
        event_at = began_at + timedelta(seconds=at_s)
        if event_at > until:
            return
        kind = SampleKind.START if not at_s else SampleKind.STOP if at_s == lasts_s else SampleKind.INTERIM
        yield {
            "kind": kind.value,
            "nas": NAS,
            "session": session,
            "account": account,
            "address": address,
            "event_at": int(event_at.timestamp()),
            "received_at": int(event_at.timestamp()),
            "session_time_s": at_s,
            "input_octets": up % _GIGAWORD,
            "input_gigawords": up // _GIGAWORD,
            "output_octets": down % _GIGAWORD,
            "output_gigawords": down // _GIGAWORD,
        }
