"""One order, two numbers at WeChat: the second is closed in time, or its payment is found."""

from __future__ import annotations

from models.order import paid_numbers
from models.review import ReviewKind
from payments import orders
from sandbox.pay.orders import CLOSED
from tests.models_of_money.world import PEOPLE
from tests.payments.refunds.refund_world import RefundWorld


def recorded(world: RefundWorld) -> set[str]:
    with world.database.reading() as session:
        return paid_numbers(session, 1)


def test_when_one_number_is_paid_the_other_is_closed(world: RefundWorld) -> None:
    order_no = world.two_numbers()
    world.pay(order_no, force=True, seq=1)
    world.later(11)
    assert recorded(world) == {f"{order_no}01"}
    assert world.platform.book.get(f"{order_no}02").state == CLOSED


def test_a_second_payment_whose_notice_is_lost_is_found(world: RefundWorld) -> None:
    order_no = world.paid_twice()
    world.tell(world.paid_trades()[0])
    world.later(11)
    assert recorded(world) == {f"{order_no}01", f"{order_no}02"}
    assert [kind for kind, _ in world.questions()] == [ReviewKind.SECOND_PAYMENT]


def test_asking_for_it_finds_both_payments(world: RefundWorld) -> None:
    order_no = world.paid_twice()
    orders.check_now(world.services, order_no=order_no, openid=PEOPLE[0])
    assert recorded(world) == {f"{order_no}01", f"{order_no}02"}


def test_giving_up_an_order_that_was_paid_twice_finds_both_payments(world: RefundWorld) -> None:
    order_no = world.paid_twice()
    orders.cancel(world.services, order_no=order_no, openid=PEOPLE[0])
    assert recorded(world) == {f"{order_no}01", f"{order_no}02"}
