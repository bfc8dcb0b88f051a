"""An attack leaves a trace with its source, and the trace is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.values.security_log import SOURCES_MAX, SecurityEvent, SecurityLog

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


def lines(recorded: list[Any]) -> list[tuple[str, str, int]]:
    return [(line["kind"], line["source"], line["count"]) for line in recorded]


def test_one_line_for_each_kind_and_source_in_a_minute() -> None:
    clock, counted = Clock(), []
    security = SecurityLog(clock, lambda kind, number: counted.append((kind, number)))
    with capture_logs() as seen:
        for _ in range(20_000):
            security.record(SecurityEvent.PUSH_REFUSED, "198.51.100.7", reason="signature")
        security.record(SecurityEvent.PUSH_REFUSED, "198.51.100.8", reason="signature")
        security.record(SecurityEvent.LOGIN, "198.51.100.7")
    assert lines(seen) == [
        ("push_refused", "198.51.100.7", 1),
        ("push_refused", "198.51.100.8", 1),
        ("login", "198.51.100.7", 1),
    ]
    clock.now = NOON + timedelta(minutes=1)
    with capture_logs() as seen:
        security.record(SecurityEvent.LOGIN, "203.0.113.1")
    assert lines(seen) == [("push_refused", "198.51.100.7", 19_999), ("login", "203.0.113.1", 1)]
    assert sum(number for kind, number in counted if kind == "push_refused") == 20_001


@pytest.mark.parametrize("sources", [SOURCES_MAX * 3])
def test_a_flood_of_sources_has_a_bound(sources: int) -> None:
    security = SecurityLog(Clock())
    with capture_logs() as seen:
        for number in range(sources):
            security.record(SecurityEvent.PUSH_REFUSED, f"address {number}")
    assert len(seen) == SOURCES_MAX + 1
    assert seen[-1]["source"] == "others"
