"""A counter on a real database with the embedded engine behind it, and a worker that a test turns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import select

from app.worker import Worker
from billing.embedded import ledger, seed
from billing.embedded.engine import EmbeddedBilling
from models.counter import Way
from models.db.engine import Database
from models.ledger import Account
from models.package import Package
from models.values.actor import Actor
from payments import credit
from payments.adjustments import delivery as adjustment_delivery
from payments.audit.invariants import check
from payments.counter import desk as counter
from payments.counter.steps import Booked
from payments.outcome import Done, Outcome
from payments.payouts import delivery as payout_delivery
from payments.refunds import approval as refunds
from payments.refunds import delivery as refund_delivery
from payments.services import Services
from tests.builders import NOON, RULES, SITE, ScriptedPay, TestClock

LI = seed.DemoAccount("2400101001", "李小明")
WANG = seed.DemoAccount("2400101002", "王芳")
ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")
# Longer than any back-off.
LONG_S = 1000


class Till:
    """LI and WANG without money, the published packages, a special of 3 yuan."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = TestClock()
        with database.transaction() as session:
            seed.seed_catalogue(session)
            seed.seed_demo_accounts(session, [LI, WANG], NOON)
            session.add(
                Package(
                    code="S03",
                    name="特惠",
                    price_fen=300,
                    quota_bytes=10**9,
                    validity_months=1,
                    special=True,
                    sale_from=NOON - timedelta(days=1),
                )
            )
        self.services = Services(
            database=database,
            clock=self.clock,
            billing=EmbeddedBilling(database, self.clock),
            pay=cast("Any", ScriptedPay()),
            rules=RULES,
            site=SITE,
            wake=lambda: None,
        )
        self.told: list[str] = []
        self.deliveries = {
            "credit": credit.deliver,
            "refund": refund_delivery.deliver,
            "adjustment": adjustment_delivery.deliver,
            "payout": payout_delivery.deliver,
            "message": self._tell,
        }

    def take(self, receipt_no: str = "A0001", **changes: Any) -> Booked:
        """LI pays 20 yuan in cash to Anna, unless `changes` say otherwise."""
        wanted: dict[str, Any] = {
            "clerk": ANNA,
            "account_no": LI.account_no,
            "name": LI.name,
            "amount_fen": 2000,
            "way": Way.CASH,
        }
        return counter.take(self.services, receipt_no=receipt_no, **{**wanted, **changes})

    def day(self, clerk: Actor = ANNA) -> counter.DaySums:
        """How the clerk's day stands."""
        return counter.day(self.services, clerk=clerk)

    def work(self) -> None:
        """Do all that is due."""
        worker = Worker(self.services, self.deliveries, wait=lambda _seconds: None)
        while worker.run_once():
            pass

    def later(self, seconds: float = LONG_S) -> None:
        """Time passes, and what became due is done."""
        self.clock.forward(seconds=seconds)
        self.work()

    def undo(self, order_no: str, amount_fen: int) -> str:
        """Anna asks for a booking to be taken back, Bert agrees. Returns: the refund's number."""
        refund = refunds.request(
            self.services, order_no=order_no, amount_fen=amount_fen, reason="记错账号", actor=ANNA
        )
        refunds.approve(self.services, out_refund_no=refund.out_refund_no, actor=BERT)
        self.work()
        return refund.out_refund_no

    def spend(self, account_no: str, amount_fen: int, *, key: str) -> None:
        """Some of the balance becomes a package, roughly. Raises: BalanceTooLow."""
        legs = (
            ledger.Leg(ledger.book_of(account_no), -amount_fen),
            ledger.Leg("income:packages", amount_fen),
        )
        with self.database.transaction() as session:
            ledger.post(session, key=key, kind=ledger.EXCHANGE, legs=legs, at=self.clock())

    def balance_fen(self, account_no: str = LI.account_no) -> int:
        with self.database.reading() as session:
            return session.scalars(select(Account.balance_fen).where(Account.account_no == account_no)).one()

    def check_books(self) -> None:
        """States, facts, allocation and ledger agree."""
        with self.database.reading() as session:
            assert check(session) == []
        with self.database.reading() as session:
            assert ledger.wrong_balances(session) == []

    def _tell(self, services: Services, held: Any) -> Outcome:
        del services
        self.told.append(held.key)
        return Done()
