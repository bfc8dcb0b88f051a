"""What a reconciliation found, kept: one run a day or month, its differences, and who signed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from models import journal
from models.db.state import guarded_move, rows_changed
from models.errors import Conflict
from models.review import ReviewKind, ask_person
from models.statement import RECON_STATES, Difference, ReconRun, ReconStatus
from payments.services import Services

TRADE = "trade"
FUNDFLOW = "fundflow"
BATCH = 200
# In a disaster one person cannot answer a million questions: the rest stands in the report.
ASKED_MAX = 1000
KEY_MAX = 80


class Kind(StrEnum):
    """The rows of the matrix (payments.md 3.3), and what else a bill may show."""

    LOST_NOTIFY = "LOST_NOTIFY"
    MISSING_IN_BILL = "MISSING_IN_BILL"
    OTHER_DAY = "OTHER_DAY"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    DUPLICATE_ROW = "DUPLICATE_ROW"
    FOREIGN = "FOREIGN"
    CREDIT_MISSING = "CREDIT_MISSING"
    CREDIT_DIFFERS = "CREDIT_DIFFERS"
    CREDIT_UNEXPECTED = "CREDIT_UNEXPECTED"
    DOUBLE_CREDIT = "DOUBLE_CREDIT"
    # Reversals, withdrawals, package purchases, and what undoes them, against billing.
    MOVEMENT_MISSING = "MOVEMENT_MISSING"
    MOVEMENT_UNEXPECTED = "MOVEMENT_UNEXPECTED"
    MOVEMENT_DIFFERS = "MOVEMENT_DIFFERS"
    MOVEMENT_TWICE = "MOVEMENT_TWICE"
    REFUND_MISSING_IN_BILL = "REFUND_MISSING_IN_BILL"
    REFUND_DIFFERS = "REFUND_DIFFERS"
    EXTERNAL_REFUND = "EXTERNAL_REFUND"
    TOTALS_DIFFER = "TOTALS_DIFFER"
    # A text broke the row: it was read around the text and counts, or it could not be read.
    ROW_REPAIRED = "ROW_REPAIRED"
    ROW_UNREADABLE = "ROW_UNREADABLE"


class FundKind(StrEnum):
    """What a month's fund-flow bills may show."""

    INCOME_MISSING = "FUND_INCOME_MISSING"
    INCOME_UNKNOWN = "FUND_INCOME_UNKNOWN"
    INCOME_DIFFERS = "FUND_INCOME_DIFFERS"
    REFUND_MISSING = "FUND_REFUND_MISSING"
    REFUND_UNKNOWN = "FUND_REFUND_UNKNOWN"
    REFUND_DIFFERS = "FUND_REFUND_DIFFERS"
    DUPLICATE_ROW = "FUND_DUPLICATE_ROW"
    OTHER_DAY = "FUND_OTHER_DAY"
    FOREIGN = "FUND_FOREIGN"
    OTHER_BUSINESS = "FUND_OTHER_BUSINESS"
    # From one row to the next, and from one day to the next.
    BALANCE_BREAKS = "FUND_BALANCE_BREAKS"
    OPENING_DIFFERS = "FUND_OPENING_DIFFERS"
    # Against the trade bill of the same day, as the daily reconciliation kept it.
    DAY_DIFFERS = "FUND_DAY_DIFFERS"
    FEES_DIFFER = "FUND_FEES_DIFFER"
    DAY_OPEN = "FUND_DAY_OPEN"
    ROW_REPAIRED = "FUND_ROW_REPAIRED"


class Action(StrEnum):
    """What was done: ASKED opened a review item, WAIT leaves it to tomorrow's bill."""

    REPAIRED = "repaired"
    HASTENED = "hastened"
    RECORDED = "recorded"
    ASKED = "asked"
    LISTED = "listed"
    WAIT = "wait"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference. `facts` are ids, states and fen; never names or openids."""

    kind: Kind | FundKind
    key: str
    action: Action
    amount_fen: int | None = None
    order_id: int | None = None
    order_no: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Recorder:
    """Writes the findings of one running reconciliation, as long as no other run replaced it."""

    def __init__(self, services: Services, run: ReconRun) -> None:
        self._services = services
        self._run = run
        self._waiting: list[Finding] = []
        self._asked = 0
        self.counts: Counter[str] = Counter()

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep these findings, in batches."""
        for finding in findings:
            self._waiting.append(finding)
            if len(self._waiting) >= BATCH:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what waits. Raises: Conflict - another run of this day began meanwhile."""
        found, self._waiting = self._waiting, []
        if not found:
            return
        with self._services.transaction() as session:
            self._insist(session)
            rows = {(str(f.kind), f.key[:KEY_MAX]): self._row(session, f) for f in found}
            seen = select(Difference.kind, Difference.key).where(
                Difference.run_id == self._run.id, Difference.key.in_([key for _, key in rows])
            )
            for kind, key in session.execute(seen):
                rows.pop((kind, key), None)
            if rows:
                session.execute(insert(Difference), list(rows.values()))
        self.counts.update(kind for kind, _ in rows)

    def finish(self, totals: dict[str, Any], *, now: datetime) -> None:
        """Close the run. Raises: Conflict - another run of this day began meanwhile."""
        self.flush()
        with self._services.transaction() as session:
            self._insist(session)
            run = session.get_one(ReconRun, self._run.id, populate_existing=True)
            guarded_move(
                session,
                RECON_STATES,
                run,
                ReconStatus.DONE,
                cause="finished",
                now=now,
                totals=totals,
                finished_at=now,
            )
            if self._asked > ASKED_MAX:
                self._ask_about_the_rest(session, now)
            journal.note(
                session,
                "reconciled",
                order_no=None,
                actor="reconcile",
                now=now,
                bill_on=str(self._run.bill_on),
                bill_kind=self._run.kind,
                bill_sha1=self._run.bill_sha1,
                differences=dict(self.counts),
            )

    def _insist(self, session: Session) -> None:
        """Lock the run until this transaction ends. Raises: Conflict - another run replaced it."""
        statement = (
            update(ReconRun)
            .where(
                ReconRun.id == self._run.id,
                ReconRun.status == ReconStatus.RUNNING,
                ReconRun.started_at == self._run.started_at,
            )
            .values(kind=self._run.kind)
        )
        if rows_changed(session, statement) != 1:
            raise Conflict(f"another reconciliation of {self._run.bill_on} began")

    def _row(self, session: Session, finding: Finding) -> dict[str, Any]:
        action = finding.action
        if action == Action.ASKED:
            self._asked += 1
            if self._asked > ASKED_MAX:
                action = Action.LISTED
            else:
                self._ask(session, finding)
        return {
            "run_id": self._run.id,
            "kind": finding.kind,
            "key": finding.key[:KEY_MAX],
            "order_no": finding.order_no,
            "amount_fen": finding.amount_fen,
            "facts": finding.facts,
            "action": action,
        }

    def _ask(self, session: Session, finding: Finding) -> None:
        ask_person(
            session,
            ReviewKind.BILL_DIFFERENCE,
            f"{finding.kind}:{finding.key}",
            order_id=finding.order_id,
            amount_fen=finding.amount_fen,
            now=self._services.clock(),
            difference=finding.kind,
            bill_on=str(self._run.bill_on),
            order_no=finding.order_no,
            **finding.facts,
        )

    def _ask_about_the_rest(self, session: Session, now: datetime) -> None:
        ask_person(
            session,
            ReviewKind.BILL_DIFFERENCE,
            f"more:{self._run.kind}:{self._run.bill_on}",
            order_id=None,
            amount_fen=None,
            now=now,
            bill_on=str(self._run.bill_on),
            listed_only=self._asked - ASKED_MAX,
        )
