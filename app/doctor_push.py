"""The finding of `campusnet doctor` about the format of pushes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import redis

from app.doctor_finding import Finding
from bot.format_watch import ADVICE
from bot.redis_gate import text_of
from bot.replies import JSON_PUSH_KEY
from models.clock import CAMPUS_ZONE


def examine(store: redis.Redis) -> Iterator[Finding]:
    """Say so where the console sent JSON within the last hour."""
    try:
        at_s = text_of(store.get(JSON_PUSH_KEY))
    except redis.RedisError:
        # Named by the check of Redis itself.
        return
    if at_s is not None and at_s.isdecimal():
        at = datetime.fromtimestamp(int(at_s), tz=CAMPUS_ZONE)
        detail = f"公众平台 sends JSON (last at {at:%H:%M}), and XML is expected"
        yield Finding("push format", well=False, detail=detail, remedy=ADVICE)
