"""A campus where a student who owns an account leaves: WeChat payments, counter money, a bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.worker import Worker
from billing.embedded import seed
from models.counter import Way
from models.payout import PayoutPart
from models.person import bind
from payments import credit, notify, repairs, settle, swap
from payments.adjustments import delivery as adjustment_delivery
from payments.counter import desk as counter
from payments.payouts import approval as payouts
from payments.payouts import delivery as payout_delivery
from payments.payouts.approval import PayoutView
from payments.refunds import delivery as refund_delivery
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, PEOPLE
from tests.payments.refunds.refund_world import ANNA, BERT, RefundWorld

ACCOUNT = ACCOUNTS[0]
# The name of all accounts of the template.
NAME = "测试"
BANK = {"bank_name": "某某银行桂林支行", "bank_account": "6222 0000 1234 5678"}


class PayoutWorld(RefundWorld):
    """The first person has proved to own the first account."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(template, database, credentials, patch)
        with self.database.transaction() as session:
            seed.seed_catalogue(session)
            bind(session, PEOPLE[0], ACCOUNT, self.clock.now())

    def cash(self, amount_fen: int, receipt_no: str = "A0001") -> None:
        """Money that did not come through WeChat, credited."""
        self.take(amount_fen, receipt_no)
        self.work()

    def take(self, amount_fen: int, receipt_no: str) -> None:
        """The clerk books it; nothing is worked on yet."""
        counter.take(
            self.services,
            clerk=ANNA,
            receipt_no=receipt_no,
            account_no=ACCOUNT,
            name=NAME,
            amount_fen=amount_fen,
            way=Way.CASH,
        )

    def requested(self, **changes: Any) -> PayoutView:
        """Anna asks for the first account's money."""
        wanted: dict[str, Any] = {"account_no": ACCOUNT, "payee": NAME, "actor": ANNA, **BANK}
        return payouts.request(self.services, **{**wanted, **changes})

    def agreed(self, **changes: Any) -> PayoutView:
        """Anna asks, Bert agrees; nothing is worked on yet."""
        number = self.requested(**changes).payout_no
        return payouts.approve(self.services, payout_no=number, actor=BERT)

    def look(self, view: PayoutView) -> PayoutView:
        """The payout as it is now."""
        return payouts.look(self.services, view.payout_no)

    def states(self, view: PayoutView) -> list[str]:
        """Of its parts."""
        return [part.state for part in self.look(view).parts]

    def part(self, part_no: str) -> PayoutPart:
        """One part as it is stored."""
        with self.database.reading() as session:
            return session.scalars(select(PayoutPart).where(PayoutPart.part_no == part_no)).one()

    def end_refunds(self) -> None:
        """WeChat finishes what it took."""
        for refund in self.platform.refunds.all():
            if refund.status != "SUCCESS":
                self.ends(refund.request.out_refund_no)

    def _new_worker(self) -> Worker:
        deliveries = {
            "settle": settle.deliver,
            "credit": credit.deliver,
            "refund": refund_delivery.deliver,
            repairs.KIND: repairs.deliver,
            "adjustment": adjustment_delivery.deliver,
            "payout": payout_delivery.deliver,
            swap.KIND: swap.deliver,
            "inbox": notify.deliver,
            "message": self._tell_payer,
        }
        return Worker(self.services, deliveries, wait=lambda _seconds: None)
