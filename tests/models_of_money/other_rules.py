"""What else may happen to money: packages swapped for, a counter, second payments decided about."""

from __future__ import annotations

from functools import partial
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from models.errors import Refused, Unknown
from payments import orders, outbox
from payments.refunds import approval as refunds
from tests.models_of_money.money_world import PACKAGE, MoneyWorld
from tests.payments.refunds.refund_world import ANNA, BERT

NUMBER = st.integers(0, 99)
# A journey passes fewer places than this; a crash armed beyond its last one does not happen.
PLACES_MAX = 12
PLACE = st.one_of(st.none(), st.integers(0, PLACES_MAX))
RECEIPTS = 8
RECEIPT = st.integers(0, RECEIPTS - 1)


class OtherRules(RuleBasedStateMachine):
    """The rules about swaps, the counter and second payments."""

    world: MoneyWorld

    @rule(person=st.integers(0, 1), account=st.integers(0, 1), amount=st.sampled_from((500, 1000)))
    def a_payer_orders_with_a_package_and_pays(self, person: int, account: int, amount: int) -> None:
        order_no = self.world.start(person, account, amount, PACKAGE)
        if order_no is not None:
            self.world.pay_and_tell(order_no)

    @rule(place=st.one_of(st.none(), st.integers(0, 20)), refused=st.booleans())
    def a_package_is_swapped_and_nobody_hears_of_it(self, place: int | None, refused: bool) -> None:  # noqa: FBT001 - drawn
        """A whole story in one step, so that what follows it is met often: a death, or a lost answer."""
        # Only swaps meet these: any other call of billing would use them up, and there are many.
        troubles: list[tuple[str, Exception]] = []
        self.world.billing.faults_of["exchange"] = troubles
        self.world.use_up()
        self.a_payer_orders_with_a_package_and_pays(0, 0, 500)
        if place is None:
            troubles.append(("after", Unknown("no answer")))
        self.world.points.arm(place)
        self.world.turn(2)
        if refused:
            # A refusal of the next try says nothing about the one before.
            troubles.append(("before", Refused("暂停换购")))
            self.world.clock.advance(outbox.LEASE_S + 1)
            self.world.turn(2)

    @rule()
    def the_packages_are_used_up(self) -> None:
        self.world.use_up()

    @rule(price=st.sampled_from((500, 500, 400)))
    def the_package_has_another_price(self, price: int) -> None:
        self.world.set_price(price)

    @rule(
        receipt=RECEIPT,
        account=st.integers(0, 1),
        amount=st.sampled_from((500, 500, 501)),
        transfer=st.booleans(),
        place=PLACE,
    )
    def a_clerk_books(
        self,
        receipt: int,
        account: int,
        amount: int,
        transfer: bool,  # noqa: FBT001 - drawn
        place: int | None,
    ) -> None:
        self.world.points.arm(place)
        # Two receipts share a transfer: the second one is refused.
        self.world.book(receipt, account, amount, f"B{receipt // 2:06d}" if transfer else None)

    @rule(which=NUMBER, part=st.sampled_from((100, 500)), place=PLACE)
    def a_booking_is_taken_back(self, which: int, part: int, place: int | None) -> None:
        booked = self.world.counter_orders()
        if not booked:
            self.world.book(RECEIPTS, 0, 500)
            booked = self.world.counter_orders()
        if not booked:
            return  # billing did not let the clerk book anything
        wanted = partial(
            refunds.request,
            self.world.services,
            order_no=booked[which % len(booked)],
            amount_fen=part,
            reason="记错账号",
            actor=ANNA,
        )
        refund = self.world.run(wanted)
        if refund is not None:
            number = refund.out_refund_no
            self.world.run(lambda: refunds.approve(self.world.services, out_refund_no=number, actor=BERT))
            self.world.points.arm(place)
            self.world.turn(2)

    @rule(which=NUMBER, place=PLACE)
    def the_counter_hands_money_back(self, which: int, place: int | None) -> None:
        self.world.points.arm(place)
        self.world.hand_back(which)
        self.world.points.arm(None)

    @rule(person=st.integers(0, 1), amount=st.sampled_from((700, 500)))
    def an_order_is_paid_twice_and_told_of(self, person: int, amount: int) -> None:
        order_no = self.world.paid_twice(person, amount)
        if order_no:
            self.world.run(
                lambda: orders.check_now(
                    self.world.services, order_no=order_no, openid=self.world.payer(order_no)
                )
            )

    @rule(
        which=NUMBER,
        action=st.sampled_from(("credit", "refund")),
        asked_back=st.sampled_from((0, 0, 100, 700)),
        place=PLACE,
    )
    def two_persons_decide_about_a_second_payment(
        self, which: int, action: str, asked_back: int, place: int | None
    ) -> None:
        if not self.world.second_payments():
            self.an_order_is_paid_twice_and_told_of(0, 700)
        asked = self.world.second_payments()
        if not asked:
            return
        item = asked[which % len(asked)]
        if asked_back:
            self.world.run(partial(self.world.ask_back, item, asked_back))
        self.world.points.arm(place)
        self.world.run(lambda: self.world.decide(item.id, action))

    @rule(policy=st.sampled_from(("credit", "refund")), place=PLACE)
    def the_policy_decides_about_second_payments(
        self, policy: Literal["credit", "refund"], place: int | None
    ) -> None:
        self.world.points.arm(place)
        self.world.run(lambda: self.world.follow_policy(policy))
