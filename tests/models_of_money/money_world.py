"""The world of refunds with everything else that moves money: swaps, a counter, decisions of persons."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import select, update

from app.worker import Worker
from billing.embedded import seed
from models.counter import Way
from models.order import Order
from models.package import Package, TrafficLot
from models.review import ReviewItem, ReviewKind, ReviewStatus
from payments import credit, notify, repairs, settle, swap
from payments.confirm import COUNTER
from payments.counter import desk
from payments.counter import returns as counter_returns
from payments.refunds import delivery as refund_delivery
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from sandbox.pay.errors import PayError
from sandbox.pay.orders import Unpayable
from tests.models_of_money.world import ACCOUNTS
from tests.payments.refunds.refund_world import ANNA, BERT, RefundWorld

PACKAGE = "P05"
# The name of all accounts of the template.
NAME = "测试"
EVIDENCE = "微信商户平台截图 20260310-17"


class MoneyWorld(RefundWorld):
    """`receipts` are what a clerk was told is booked: fen by number."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(template, database, credentials, patch)
        self.receipts: dict[str, int] = {}
        with self.database.transaction() as session:
            seed.seed_catalogue(session)

    def use_up(self) -> None:
        """Every package is used up, so that the next one may be bought."""
        with self.database.transaction() as session:
            session.execute(update(TrafficLot).values(used_bytes=TrafficLot.total_bytes))

    def set_price(self, price_fen: int) -> None:
        """The package costs something else from now on."""
        with self.database.transaction() as session:
            session.execute(update(Package).where(Package.code == PACKAGE).values(price_fen=price_fen))

    def book(self, number: int, account: int, amount_fen: int, reference: str | None = None) -> None:
        """A clerk books money that was paid at the counter, or types a receipt again."""
        booked = self.run(
            lambda: desk.take(
                self.services,
                clerk=ANNA,
                receipt_no=f"A{number:04d}",
                account_no=ACCOUNTS[account],
                name=NAME,
                amount_fen=amount_fen,
                way=Way.CASH if reference is None else Way.TRANSFER,
                reference=reference,
            )
        )
        if booked is not None:
            self.receipts[booked.booking.receipt_no] = booked.booking.amount_fen

    def counter_orders(self) -> list[str]:
        """Orders that were paid at the counter."""
        query = select(Order.order_no).where(Order.source == COUNTER).order_by(Order.id)
        with self.database.reading() as session:
            return list(session.scalars(query))

    def hand_back(self, which: int = 0) -> bool:
        """The clerk who did not open it hands one of the open items back. Returns: whether there was one."""
        owed = counter_returns.open_items(self.services)
        if owed:
            item = owed[which % len(owed)]
            clerk = BERT if ANNA.is_same_person(item.opened_by) else ANNA
            self.run(
                lambda: counter_returns.give_back(
                    self.services, return_no=item.return_no, clerk=clerk, evidence="签收单 1"
                )
            )
        return bool(owed)

    def second_payments(self) -> list[ReviewItem]:
        """Second payments that nobody has dealt with."""
        query = select(ReviewItem).where(
            ReviewItem.kind == ReviewKind.SECOND_PAYMENT, ReviewItem.status != ReviewStatus.CLOSED
        )
        with self.database.reading() as session:
            return list(session.scalars(query.order_by(ReviewItem.id)))

    def decide(self, item_id: int, action: str) -> None:
        """Anna proposes, Bert agrees. Raises: what either of them is told."""
        reviews.propose(self.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE)
        reviews.approve(self.services, item_id, actor=BERT)

    def ask_back(self, item: ReviewItem, amount_fen: int) -> None:
        """Somebody asks for (part of) a second payment to go back. Raises: what they are told."""
        order_no, number = str(item.facts["order_no"]), str(item.facts["out_trade_no"])
        self.asked(order_no, amount_fen, out_trade_no=number)

    def follow_policy(self, policy: Literal["credit", "refund"]) -> None:
        """The periodic job that deals with second payments."""
        rules = replace(self.services.rules, second_payment=policy)
        reviews.by_policy(replace(self.services, rules=rules))

    def pay_and_tell(self, order_no: str) -> None:
        """The payer pays, and whatever was paid for this order is told of."""
        self.prepare(order_no)
        with suppress(Unpayable, PayError):
            self.pay(order_no)
        for trade in self.paid_trades():
            if trade.request.out_trade_no.startswith(order_no):
                self.tell(trade)

    def _new_worker(self) -> Worker:
        deliveries = {
            "settle": settle.deliver,
            "credit": credit.deliver,
            swap.KIND: swap.deliver,
            "refund": refund_delivery.deliver,
            repairs.KIND: repairs.deliver,
            "inbox": notify.deliver,
            "message": self._tell_payer,
        }
        return Worker(self.services, deliveries, wait=lambda _seconds: None)
