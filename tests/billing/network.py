"""A network access server as the tests see it: records in the shape in which they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from billing.embedded.accounting import Accounting, Answer
from models.db.engine import Database
from models.package import TrafficLot
from models.usage import AccountingSession, LotUse, UsageDay

WRAP = 2**32


@dataclass(frozen=True)
class Nas:
    """One session of one account on one server; `at` is seconds after its beginning."""

    began_at: datetime
    account: str = "A1"
    session: str = "s-1"
    nas: str = "BRAS-01"

    def record(
        self, kind: str, at: int, up: int = 0, down: int = 0, *, wide: bool = True, **more: Any
    ) -> dict[str, Any]:
        """A record about the state after `at` seconds; `wide`: the server sends gigawords."""
        fields: dict[str, Any] = {
            "kind": kind,
            "nas": self.nas,
            "session": self.session,
            "account": self.account,
            "event_at": int((self.began_at + timedelta(seconds=at)).timestamp()),
            "received_at": int((self.began_at + timedelta(seconds=at)).timestamp()),
            "session_time_s": at,
            "input_octets": up % WRAP,
            "output_octets": down % WRAP,
        }
        if wide:
            fields |= {"input_gigawords": up // WRAP, "output_gigawords": down // WRAP}
        return fields | more

    def start(self, **more: Any) -> dict[str, Any]:
        return self.record("start", 0, **more)

    def interim(self, at: int, up: int = 0, down: int = 0, **more: Any) -> dict[str, Any]:
        return self.record("interim", at, up, down, **more)

    def stop(self, at: int, up: int = 0, down: int = 0, **more: Any) -> dict[str, Any]:
        return self.record("stop", at, up, down, **more)


@dataclass
class Books:
    """What the engine has written down."""

    database: Database
    accounting: Accounting

    def take(self, *records: Any) -> list[str]:
        return [answer.outcome.value for answer in self.answers(*records)]

    def answers(self, *records: Any) -> list[Answer]:
        return self.accounting.take(records)

    def days(self, account: str = "A1") -> dict[str, tuple[int, int, int]]:
        """Up, down and counted bytes by day."""
        with self.database.reading() as session:
            rows = session.scalars(select(UsageDay).where(UsageDay.account_no == account))
            return {
                row.used_on.isoformat(): (
                    row.up_bytes, row.down_bytes, row.fast_bytes + row.throttled_bytes,
                )
                for row in rows
                if row.up_bytes or row.down_bytes
            }  # fmt: skip

    def speeds(self, account: str = "A1") -> tuple[int, int]:
        """Fast and throttled bytes of all days."""
        with self.database.reading() as session:
            query = select(UsageDay).where(UsageDay.account_no == account)
            rows = session.scalars(query).all()
            return sum(row.fast_bytes for row in rows), sum(row.throttled_bytes for row in rows)

    def sessions(self, account: str = "A1") -> list[AccountingSession]:
        with self.database.reading() as session:
            query = select(AccountingSession).where(AccountingSession.account_no == account)
            return list(session.scalars(query.order_by(AccountingSession.started_at)))

    def lots(self, account: str = "A1") -> dict[str, int]:
        """Used bytes of each lot by kind and first day; each is the sum of its uses."""
        with self.database.reading() as session:
            lots = session.scalars(select(TrafficLot).where(TrafficLot.account_no == account)).all()
            for lot in lots:
                uses = session.scalar(select(func.sum(LotUse.used_bytes)).where(LotUse.lot_id == lot.id))
                assert int(uses or 0) == lot.used_bytes
                assert 0 <= lot.used_bytes <= lot.total_bytes
            return {f"{lot.kind} {lot.starts_at:%m-%d}": lot.used_bytes for lot in lots}
