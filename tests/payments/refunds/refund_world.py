"""The world of the money models with refunds in it: one thread, a hand-moved clock, places to die."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.worker import Worker
from billing.embedded.ledger import wrong_balances
from models.ledger import Account
from models.order import Credit, CreditStatus
from models.refund import Refund, find_refund
from models.review import ReviewItem
from models.values.actor import Actor
from payments import credit, notify, outbox, repairs, settle
from payments.adjustments import delivery as adjustment_delivery
from payments.audit import book_check
from payments.audit.invariants import check
from payments.refunds import approval as refunds
from payments.refunds import delivery as refund_delivery
from payments.wechatpay.client import WechatPay
from sandbox.credentials import Credentials
from sandbox.pay import refunds_api
from sandbox.pay.orders import SUCCESS
from sandbox.pay.refunds import Refund as RefundAtWechat
from sandbox.pay.refunds import RefundRequest
from tests.models_of_money.world import ACCOUNTS, World

ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")
REFUND_URL = "https://site.invalid/wechatpay/refund"
# Longer than a lease and than the time between two refunds, shorter than an hour.
WHILE_S = 120.0


class RefundWorld(World):
    """Orders of 5 yuan that are paid, credited, refunded; what WeChat and billing have at the end."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(template, database, credentials, patch)
        config = replace(self.services.pay._config, refund_notify_url=REFUND_URL)
        self.services = replace(self.services, pay=WechatPay(config, self.clock.now))
        self.worker = self._new_worker()

    def paid(self, amount_fen: int = 500, *, credited: bool = False) -> str:
        """A paid order; its credit waits unless `credited`."""
        order_no = self.start(0, 0, amount_fen)
        assert order_no is not None
        self.prepare(order_no)
        self.pay(order_no)
        self.tell(self.platform.book.get(f"{order_no}01"))
        if credited:
            self.work()
            assert self.credit(order_no).status == CreditStatus.CREDITED
        return order_no

    def asked(self, order_no: str, amount_fen: int = 500, **changes: Any) -> str:
        """A requested refund; its number."""
        wanted: dict[str, Any] = {
            "order_no": order_no,
            "amount_fen": amount_fen,
            "reason": "充错账号",
            "actor": ANNA,
        }
        return refunds.request(self.services, **{**wanted, **changes}).out_refund_no

    def approved(self, order_no: str, amount_fen: int = 500, **changes: Any) -> str:
        """A refund that two people agreed to; its number."""
        number = self.asked(order_no, amount_fen, **changes)
        refunds.approve(self.services, out_refund_no=number, actor=BERT)
        return number

    def work(self) -> None:
        """Do all that is due now."""
        while self.turn():
            pass

    def later(self, seconds: float = WHILE_S) -> None:
        """Time passes, and what became due is done."""
        self.clock.advance(seconds)
        self.work()

    def claim_refund(self) -> outbox.Claim:
        """The lease of the one refund that is due, nothing else."""
        with self.database.transaction() as session:
            (held,) = outbox.claim(session, "w1", now=self.clock.now(), limit=5, kinds=["refund"])
        return held

    def fault(self, name: str, place: str = "pay.refund") -> None:
        """The next call there goes wrong."""
        self.counterpart.fault(name, place)

    def at_wechat(self, number: str) -> RefundAtWechat:
        """The refund as the platform has it; PayError when it never took it."""
        return self.platform.refunds.get(number)

    def ends(self, number: str, status: str = SUCCESS, *, tell: bool = True) -> None:
        """The platform finishes the refund, and tells us unless the notice is lost."""
        assert refunds_api.end(self.platform, self.at_wechat(number), status, tell=False)
        if tell:
            assert self.tell_refund(number) == 204

    def tell_refund(self, number: str, spoil: str = "") -> int:
        """One notice of a refund's end. Returns: the status answered."""
        event = refunds_api.refund_event(self.at_wechat(number))
        return self.platform.notifier.send(event, spoil=spoil)

    def console(self, order_no: str, amount_fen: int = 500, *, number: str = "", ended: bool = True) -> str:
        """Refund in the merchant console; nobody tells us. Returns: its number."""
        trade = self.platform.book.get(f"{order_no}01")
        request = RefundRequest(
            out_refund_no=number or f"console{len(self.platform.refunds.all()):04d}",
            out_trade_no=f"{order_no}01",
            amount_fen=amount_fen,
            total_fen=trade.request.amount_fen,
            reason="",
            notify_url=REFUND_URL,
        )
        accepted, _ = self.platform.refunds.accept(trade, request, external=True)
        if ended:
            refunds_api.end(self.platform, accepted, SUCCESS, tell=False)
        return request.out_refund_no

    def refund(self, number: str) -> Refund:
        """What we know of it."""
        with self.database.reading() as session:
            found = find_refund(session, number)
        assert found is not None
        return found

    def state(self, number: str) -> str:
        """Its state with us."""
        return str(self.refund(number).status)

    def credit(self, order_no: str) -> Credit:
        """The order's credit."""
        with self.database.reading() as session:
            return session.scalars(select(Credit).where(Credit.credit_no == f"c{order_no}")).one()

    def questions(self) -> list[tuple[str, str]]:
        """What people are asked: kind and key."""
        with self.database.reading() as session:
            return [(str(i.kind), i.key) for i in session.scalars(select(ReviewItem).order_by(ReviewItem.id))]

    def balance_fen(self) -> int:
        """What billing has for the account."""
        with self.database.reading() as session:
            account = session.get_one(Account, ACCOUNTS[0])
        return account.balance_fen

    def sent(self) -> int:
        """How many refunds WeChat took."""
        return len(self.platform.refunds.all())

    def check_books(self) -> None:
        """States, facts, allocation and ledger agree, and the three sides have the same money."""
        with self.database.reading() as session:
            assert check(session) == []
            assert wrong_balances(session) == []
        # Money that a test spends without a purchase is not of the books' doing.
        found = [f for f in book_check.findings(self.services) if not f.subject.startswith("spent:")]
        wrong = [f for f in found if f.check != "anchor" and f.subject != "unsealed"]
        assert wrong == [], wrong

    def _new_worker(self) -> Worker:
        deliveries = {
            "settle": settle.deliver,
            "credit": credit.deliver,
            "refund": refund_delivery.deliver,
            repairs.KIND: repairs.deliver,
            "adjustment": adjustment_delivery.deliver,
            "inbox": notify.deliver,
            "message": self._tell_payer,
        }
        return Worker(self.services, deliveries, wait=lambda _seconds: None)
