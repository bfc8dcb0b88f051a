"""Whether the parts that a page needs are there; asked at most every ten seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.notice import latest_notices
from web.services import WebServices

KEEP = timedelta(seconds=10)


@dataclass(frozen=True)
class Check:
    """One part: `name` for machines, `title` for people."""

    name: str
    title: str
    ok: bool


@dataclass(frozen=True)
class Report:
    """All parts at one instant."""

    at: datetime
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every part is there."""
        return all(check.ok for check in self.checks)


class Health:
    """Keeps the last report, so that a public page cannot be used to load the database."""

    def __init__(self) -> None:
        self._last: Report | None = None

    def report(self, services: WebServices) -> Report:
        """A report that is at most ten seconds old."""
        now = services.clock()
        if self._last is None or not timedelta(0) <= now - self._last.at < KEEP:
            self._last = Report(now, (_database(services), _billing(services)))
        return self._last


def _database(services: WebServices) -> Check:
    try:
        with services.reading() as session:
            latest_notices(session, services.clock(), limit=1)
    except Exception:  # noqa: BLE001 - whatever fails here, the part is not there
        return Check("database", "订单系统", ok=False)
    return Check("database", "订单系统", ok=True)


def _billing(services: WebServices) -> Check:
    try:
        services.billing.catalogue()
    except Exception:  # noqa: BLE001 - whatever fails here, the part is not there
        return Check("billing", "计费系统", ok=False)
    return Check("billing", "计费系统", ok=True)
