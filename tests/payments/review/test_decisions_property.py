"""Decisions of three operators in any order, under any spelling: nobody moves money alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import or_, select

from billing.embedded.ledger import wrong_balances
from models.adjustment import HOLDING, Adjustment, AdjustmentKind
from models.errors import Refused, ServiceError, Unavailable, Unknown
from models.order import Order
from models.payout import PartStatus, PayoutPart
from models.refund import Refund, RefundStatus
from models.review import ReviewItem, ReviewStatus
from models.values.actor import Actor
from models.write_off import WriteOff
from payments.adjustments import approval as adjustments
from payments.audit.invariants import check, conservation
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.refunds import approval as refunds
from payments.review import queue as reviews
from payments.review.actions import ACTIONS
from sandbox.credentials import Credentials
from sandbox.pay.errors import PayError
from sandbox.pay.orders import Unpayable
from tests.models_of_money.world import make_template
from tests.payments.payouts.payout_world import ACCOUNT, PayoutWorld

EVIDENCE = "微信商户平台截图 20260310-17"
PEOPLE = {
    "anna": ("anna", "Anna", "an\u200bna", "a n n a", "ａｎｎａ（财务）"),
    "张三": ("张三", "张 三", "张三\u2060", "张三【cw】"),
    "李四": ("李四", " 李四", "李四(窗口)"),
}
STEPS, FEW_STEPS = 120, 40


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("decisions"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


class Office:
    """Three operators who decide at random; what cannot be done is refused and changes nothing."""

    def __init__(self, world: PayoutWorld, dice: random.Random) -> None:
        self.world = world
        self.services = world.services
        self.dice = dice

    def step(self) -> None:
        acts = (
            self.pay,
            self.pay_twice,
            self.refund,
            self.console,
            self.end_refund,
            self.approve_refund,
            self.propose,
            self.propose,
            self.approve,
            self.approve,
            self.approve,
            self.reject,
            self.reopen,
            self.adjust,
            self.approve_adjustment,
            self.pay_out,
            self.list_parts,
            self.bank_answers,
            self.world.work,
            self.world.later,
        )
        with suppress(ServiceError, PayError, Unpayable):
            self.dice.choice(acts)()

    def anyone(self) -> Actor:
        return Actor.from_name(self.dice.choice(PEOPLE[self.dice.choice(list(PEOPLE))]))

    def pay(self) -> None:
        self.world.paid(self.dice.choice((500, 700)), credited=False)
        if self.dice.random() < 0.3:
            self.world.billing.faults_of = {"credit": [("before", Refused("no"))]}
        self.world.work()
        self.world.billing.faults_of = {}

    def pay_twice(self) -> None:
        self.world.paid_twice()
        for trade in self.world.unrecorded():
            self.world.tell(trade)

    def order_no(self) -> str:
        with self.world.database.reading() as session:
            return self.dice.choice(list(session.scalars(select(Order.order_no))) or ["r0"])

    def refund(self) -> None:
        self.world.clock.advance(70)
        refunds.request(
            self.services,
            order_no=self.order_no(),
            amount_fen=self.dice.choice((500, 700, 200)),
            reason="充错账号",
            actor=self.anyone(),
        )

    def approve_refund(self) -> None:
        if self.dice.random() < 0.6:
            self.world.fault("account_abnormal")
        for refund, _ in refunds.newest(self.services, waiting=True):
            refunds.approve(self.services, out_refund_no=refund.out_refund_no, actor=self.anyone())
        self.world.work()

    def end_refund(self) -> None:
        for refund in self.world.platform.refunds.all():
            if refund.status == "PROCESSING":
                status = self.dice.choice(("SUCCESS", "ABNORMAL", "CLOSED"))
                self.world.ends(refund.request.out_refund_no, status)

    def console(self) -> None:
        number = self.world.console(self.order_no(), self.dice.choice((100, 500)))
        self.world.tell_refund(number)

    def item_id(self, *statuses: ReviewStatus) -> int:
        query = select(ReviewItem.id).where(ReviewItem.status.in_(statuses))
        with self.world.database.reading() as session:
            return self.dice.choice(list(session.scalars(query)) or [0])

    def propose(self) -> None:
        item_id = self.item_id(ReviewStatus.OPEN, ReviewStatus.PROPOSED)
        with self.world.database.reading() as session:
            item = session.get(ReviewItem, item_id)
        fitting = [name for name, action in ACTIONS.items() if item is not None and item.kind in action.kinds]
        reviews.propose(
            self.services,
            item_id,
            action=self.dice.choice(fitting or ["dismiss"]),
            actor=self.anyone(),
            evidence=EVIDENCE,
        )

    def approve(self) -> None:
        reviews.approve(self.services, self.item_id(ReviewStatus.PROPOSED), actor=self.anyone())

    def reject(self) -> None:
        reviews.reject(self.services, self.item_id(ReviewStatus.PROPOSED), actor=self.anyone())

    def reopen(self) -> None:
        reviews.reopen(self.services, self.item_id(ReviewStatus.CLOSED), actor=self.anyone())

    def adjust(self) -> None:
        wanted = adjustments.Wanted(ACCOUNT, self.dice.choice((100, -100, 300)), "补偿", EVIDENCE)
        adjustments.request(self.services, wanted, actor=self.anyone())

    def approve_adjustment(self) -> None:
        error = self.dice.choice((Unavailable("away"), Unknown("no answer"), Refused("no"), None))
        if error is not None:
            # Only without an answer may it have been done all the same.
            place = self.dice.choice(("before", "after")) if isinstance(error, Unknown) else "before"
            self.world.billing.faults_of = {"adjust": [(place, error)], "credit": [(place, error)]}
        for entry in adjustments.newest(self.services, waiting=True):
            adjustments.approve(self.services, adjustment_no=entry.adjustment_no, actor=self.anyone())
        self.world.work()
        self.world.billing.faults_of = {}

    def pay_out(self) -> None:
        for view in payouts.newest(self.services, waiting=True):
            payouts.approve(self.services, payout_no=view.payout_no, actor=self.anyone())
        self.world.requested(actor=self.anyone())

    def parts(self, status: PartStatus) -> list[str]:
        with self.world.database.reading() as session:
            return list(session.scalars(select(PayoutPart.part_no).where(PayoutPart.status == status)))

    def list_parts(self) -> None:
        for part_no in self.parts(PartStatus.WITHDRAWN):
            with suppress(Refused):
                transfer_list.correct_bank(
                    self.services,
                    part_no=part_no,
                    bank_name="某某银行",
                    bank_account="62220001",
                    actor=self.anyone(),
                    payee="李付款",
                )
        transfer_list.make_list(self.services, actor=self.anyone())

    def bank_answers(self) -> None:
        for part_no in self.parts(PartStatus.LISTED):
            if self.dice.random() < 0.4:
                transfer_list.mark_failed(self.services, part_no=part_no, actor=self.anyone(), reason="退票")
            else:
                transfer_list.mark_paid(self.services, part_no=part_no, actor=self.anyone())

    def check(self) -> None:
        with self.world.database.reading() as session:
            assert check(session) == []
        with self.world.database.reading() as session:
            assert wrong_balances(session) == []
            assert conservation(session).missing_fen == 0
            pairs: list[tuple[str | None, str | None]] = []
            refunded = select(Refund.requested_by, Refund.approved_by).where(
                Refund.status.in_((RefundStatus.APPROVED, RefundStatus.SENDING, RefundStatus.SUCCESS)),
                Refund.origin == "ours",
            )
            adjusted = select(Adjustment.requested_by, Adjustment.decided_by).where(
                or_(Adjustment.status.in_(HOLDING), Adjustment.kind == AdjustmentKind.PUT_BACK)
            )
            dismissed = select(WriteOff.proposed_by, WriteOff.approved_by)
            for query in (refunded, adjusted, dismissed):
                pairs += [(row[0], row[1]) for row in session.execute(query)]
            for item in session.scalars(select(ReviewItem).where(ReviewItem.outcome.is_not(None))):
                if ACTIONS[str(item.outcome)].moves_money:
                    pairs.append((item.proposed_by, item.approved_by))
        for one, other in pairs:
            assert one
            assert other
            assert not Actor(one).is_same_person(other), (one, other)


def run(world: PayoutWorld, seed: int, steps: int) -> None:
    office = Office(world, random.Random(seed))
    for _ in range(steps):
        office.step()
        office.check()
    for _ in range(3):
        world.later(3600)
        office.check()


@pytest.mark.parametrize("seed", range(2))
def test_nobody_moves_money_alone_and_no_fen_is_left_unasked(world: PayoutWorld, seed: int) -> None:
    run(world, seed, FEW_STEPS)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 106))
def test_long_sequences_of_decisions(world: PayoutWorld, seed: int) -> None:
    run(world, seed, STEPS)
