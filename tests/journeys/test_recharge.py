"""Whole stories through the sandbox, in safe mode, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from app.phone import Phone, link_in
from app.selfcheck import balance_fen
from models.order import (
    Credit,
    CreditStatus,
    NotifyInbox,
    Order,
    OrderAction,
    OrderEvent,
    OrderStatus,
    advance,
)
from payments import orders
from tests.rig import Rig, eventually


def bound(rig: Rig, student: str = "xiaoming") -> Phone:
    phone = rig.phone(student)
    phone.follow()
    phone.bind()
    return phone


def order_link(phone: Phone, amount: str = "5") -> str:
    assert "确认" in phone.say(f"充值{amount}")
    return link_in(phone.say("确认"), "/h5/pay/")


def credit_states(rig: Rig) -> list[str]:
    with rig.house.database.reading() as session:
        return [str(status) for status in session.scalars(select(Credit.status))]


def test_a_student_recharges_5_yuan_from_follow_to_arrival(rig: Rig) -> None:
    phone = rig.phone()
    assert "欢迎" in phone.follow()
    phone.bind()
    before = balance_fen(phone.say("余额"))
    order_no = phone.pay(order_link(phone))
    assert "5.00" in phone.wait_for("充值到账", order_no)
    assert balance_fen(phone.say("余额")) == before + 500
    with rig.house.database.reading() as session:
        order = session.scalars(select(Order).where(Order.order_no == order_no)).one()
        path = list(
            session.scalars(
                select(OrderEvent.status).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id)
            )
        )
    assert path == [OrderStatus.CREATED, OrderStatus.PREPAID, OrderStatus.PAID]


def test_a_payment_whose_notice_is_lost_is_credited_by_the_query(rig: Rig) -> None:
    phone = bound(rig)
    phone.api("POST", "/sim/faults", {"name": "lost", "place": "pay.notify"})
    order_no = phone.pay(order_link(phone))
    phone.wait_for("充值到账", order_no, timeout_s=30)
    assert credit_states(rig) == [CreditStatus.CREDITED]
    with rig.house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(NotifyInbox)) == 0


def test_asking_for_it_credits_a_payment_whose_notice_is_lost(rig: Rig) -> None:
    phone = bound(rig)
    phone.api("POST", "/sim/faults", {"name": "lost", "place": "pay.notify"})
    order_no = phone.pay(order_link(phone))
    assert order_no in phone.say("没到账")
    phone.wait_for("充值到账", order_no)
    assert credit_states(rig) == [CreditStatus.CREDITED]


def test_a_notice_delivered_five_times_credits_once(rig: Rig) -> None:
    phone = bound(rig)
    before = balance_fen(phone.say("余额"))
    phone.api("POST", "/sim/faults", {"name": "duplicate", "place": "pay.notify", "args": {"count": 5}})
    order_no = phone.pay(order_link(phone))
    phone.wait_for("充值到账", order_no)

    def notices() -> bool:
        with rig.house.database.reading() as session:
            return (session.scalar(select(func.count()).select_from(NotifyInbox)) or 0) >= 5

    eventually(notices, "five notices")
    assert credit_states(rig) == [CreditStatus.CREDITED]
    assert balance_fen(phone.say("余额")) == before + 500
    assert sum("充值到账" in str(bubble.get("text")) for bubble in phone.messages()) == 1


def test_paying_for_somebody_else_with_an_amount_of_ones_own(rig: Rig) -> None:
    payer, owner = bound(rig), bound(rig, "xiaohong")
    account_no = next(s["account_no"] for s in owner.students() if s["id"] == "xiaohong")
    before = balance_fen(owner.say("余额"))
    assert "账号" in payer.say("给他人充值")
    payer.say(account_no)
    shown = payer.say(account_no)
    assert "*" in shown
    assert "余额" not in shown
    payer.say("确认")
    asked = payer.say("7")
    assert "7" in asked
    order_no = payer.pay(link_in(payer.say("确认"), "/h5/pay/"))
    told = payer.wait_for("充值到账", order_no)
    assert "余额" not in told
    assert balance_fen(owner.say("余额")) == before + 700


def test_the_same_open_order_is_offered_again(rig: Rig) -> None:
    phone = bound(rig)
    assert order_link(phone) == order_link(phone)
    assert order_link(phone, "6") != order_link(phone)


def test_a_payment_after_the_order_was_closed_still_counts(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=0)
    phone = bound(rig)
    link = order_link(phone)
    phone.open(link)
    order_no = link.rsplit("/", 1)[-1]
    openid = phone.openid
    params = orders.pay_params(rig.house.web, order_no=order_no, openid=openid)
    sheet = phone.api("POST", "/sim/pay/invoke", {"openid": openid, "params": params})
    phone.api("POST", "/sim/faults", {"name": "lost", "place": "pay.notify"})
    # Our side believes that the order is over, without asking anybody.
    with rig.house.database.transaction() as session:
        order = session.scalars(select(Order).where(Order.order_no == order_no)).one()
        advance(session, order, OrderAction.EXPIRE, cause="test", now=rig.house.web.clock())
    phone.api("POST", "/sim/pay/confirm", {"pay_token": sheet["pay_token"], "password": "123456"})
    phone.api("POST", f"/sim/pay/orders/{order_no}01/notify", {"times": 1})
    worker = rig.house.worker()
    eventually(lambda: worker.run_once() == 0 and credit_states(rig) == [CreditStatus.CREDITED], "the credit")
    with rig.house.database.reading() as session:
        assert session.scalars(select(Order.late).where(Order.order_no == order_no)).one() is True


def test_a_stranger_sees_neither_the_order_nor_the_name(rig: Rig) -> None:
    phone, stranger = bound(rig), bound(rig, "xiaohong")
    link = order_link(phone)
    page = stranger.open(link)
    assert page.status == 404
    assert "李小明" not in page.text
