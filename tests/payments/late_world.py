"""A campus where calls to billing are answered late or never: all that moves money, and two operators."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from billing.embedded.ledger import wrong_balances
from billing.interface import MoneyCall
from models.errors import Unavailable, Unknown
from models.ledger import Account
from models.payout import PayoutPart
from models.review import ReviewItem, ReviewStatus
from models.swap import SwapIntent
from payments import outbox
from payments.audit.invariants import check, conservation
from payments.review import queue as reviews
from tests.crashes.points import WatchedBilling
from tests.models_of_money.money_world import EVIDENCE, PACKAGE
from tests.models_of_money.world import ACCOUNTS
from tests.payments.payouts.payout_world import PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT
from tests.vendor_billing import WINDOW_S, VendorBilling

PAUSE_S = outbox.LEASE_S + 1
UNANSWERED = Unknown("no answer: the request is still on its way")
AWAY = Unavailable("connection refused")


class LateWorld(PayoutWorld):
    """All that moves money, with the embedded engine or a vendor's system behind it."""

    def use_vendor(self, **abilities: object) -> VendorBilling:
        vendor = VendorBilling(self.database, self.clock.now, **abilities)
        self.billing = WatchedBilling(vendor, self.points)
        self.services = replace(self.services, billing=self.billing.as_backend())
        self.worker = self._new_worker()
        return vendor

    def claim(self, kind: str) -> outbox.Claim:
        """A worker leases the one item of a kind that is due, and stops before it does anything."""
        with self.database.transaction() as session:
            (held,) = outbox.claim(session, "paused", now=self.clock.now(), limit=5, kinds=[kind])
        return held

    def open_items(self) -> list[ReviewItem]:
        query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED).order_by(ReviewItem.id)
        with self.database.reading() as session:
            return list(session.scalars(query))

    def item(self, kind: str) -> ReviewItem:
        (found,) = [item for item in self.open_items() if item.kind == kind]
        return found

    def decide(self, kind: str, action: str) -> None:
        """Anna proposes, Bert agrees, and the workers do it; deciding once more changes nothing."""
        item_id = self.item(kind).id
        assert reviews.propose(self.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE) is False
        with pytest.raises(reviews.SecondPersonNeeded):
            reviews.approve(self.services, item_id, actor=ANNA)
        reviews.approve(self.services, item_id, actor=BERT)
        reviews.approve(self.services, item_id, actor=BERT)
        self.later(1)

    def check_all(self) -> None:
        with self.database.reading() as session:
            assert check(session) == []
            assert wrong_balances(session) == []
            assert conservation(session).missing_fen == 0

    def set_account(self, *, active: bool) -> None:
        """Close the account, or let it take money again."""
        with self.database.transaction() as session:
            session.get_one(Account, ACCOUNTS[0]).active = active

    def paid_with_package(self) -> str:
        """A paid order of 5 yuan that wishes for a package."""
        order_no = self.start(0, 0, 500, PACKAGE)
        assert order_no is not None
        self.prepare(order_no)
        self.pay(order_no)
        self.tell(self.platform.book.get(f"{order_no}01"))
        return order_no

    def only_part(self) -> PayoutPart:
        with self.database.reading() as session:
            return session.scalars(select(PayoutPart)).one()

    def swap(self) -> SwapIntent:
        with self.database.reading() as session:
            return session.scalars(select(SwapIntent)).one()


def voided_and_applied(world: LateWorld) -> str:
    """Let a vendor's system apply a credit after its window, when the money has gone back."""
    vendor = world.use_vendor()
    order_no = world.paid()

    def refunded() -> None:
        world.billing.faults_of = {"credit": [("before", AWAY)] * 9}
        world.clock.advance(PAUSE_S + WINDOW_S)
        world.work()
        number = world.approved(order_no)
        world.work()
        world.ends(number)
        world.billing.faults_of = {}

    vendor.meanwhile[MoneyCall.CREDIT] = refunded
    world.work()
    return order_no
