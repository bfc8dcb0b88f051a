"""Three open orders, the oldest is paid and its callback is lost: 没到账 finds it and invites to nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from app.phone import Phone, link_in
from models.order import Credit, CreditStatus, Order, OrderStatus
from payments.unconfirmed import query_open
from tests.rig import Rig

BUTTON = "data-pay"


@pytest.fixture
def quiet(make_rig: Callable[..., Rig]) -> Rig:
    """Without workers: nothing asks WeChat by itself."""
    return make_rig(workers=0)


def follower(rig: Rig) -> Phone:
    phone = rig.phone()
    phone.follow()
    phone.bind()
    return phone


def orders_in(rig: Rig) -> dict[str, str]:
    with rig.house.database.reading() as session:
        return {order.order_no: order.status for order in session.scalars(select(Order))}


def three_orders(phone: Phone) -> list[str]:
    """Links to pay, each prepared as far as the pay sheet, which is closed again."""
    links = []
    for yuan in ("5", "6", "7"):
        phone.say(f"充值{yuan}")
        links.append(link_in(phone.say("确认"), "/h5/pay/"))
    for link in links:
        page = phone.open(link)
        phone.post_json(page, f"/h5/pay/{link.rsplit('/', 1)[-1]}/params")
    return links


def pay_the_oldest(phone: Phone, links: list[str]) -> str:
    phone.api("POST", "/sim/faults", {"name": "lost", "place": "pay.notify"})
    return phone.pay(links[0])


def test_the_paid_one_is_shown_first_and_no_other_is_offered(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    paid = pay_the_oldest(phone, links)
    assert orders_in(quiet)[paid] != OrderStatus.PAID
    for _ in range(2):
        told = phone.say("没到账")
        assert paid in told
        assert "入账中" in told
        assert "/h5/pay/" not in told
    assert sorted(orders_in(quiet).values()).count(OrderStatus.PAID) == 1
    with quiet.house.database.reading() as session:
        assert session.scalars(select(Credit.status)).one() == CreditStatus.PENDING


def test_the_pay_page_of_another_order_has_no_button(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    assert BUTTON in phone.open(links[2]).text
    paid = pay_the_oldest(phone, links)
    page = phone.open(links[2])
    assert BUTTON not in page.text
    assert "请勿重复支付" in page.text
    assert orders_in(quiet)[paid] == OrderStatus.PAID


def test_the_page_of_another_order_does_not_lead_to_paying(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    pay_the_oldest(phone, links)
    order_no = links[2].rsplit("/", 1)[-1]
    page = phone.open(links[2].replace("/h5/pay/", "/h5/orders/"))
    assert f'href="/h5/pay/{order_no}"' not in page.text
    assert "请勿重复支付" in page.text


def test_confirming_a_new_recharge_gives_no_link(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    paid = pay_the_oldest(phone, links)
    told = phone.say("充值8")
    assert "请勿重复支付" in told
    assert "/h5/pay/" not in phone.say("确认")
    assert len(orders_in(quiet)) == 3
    assert orders_in(quiet)[paid] == OrderStatus.PAID


def test_a_payment_between_the_question_and_its_answer_is_seen(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    assert "确认" in phone.say("充值8")
    paid = pay_the_oldest(phone, links)
    told = phone.say("确认")
    assert "/h5/pay/" not in told
    assert "请勿重复支付" in told
    assert len(orders_in(quiet)) == 3
    assert orders_in(quiet)[paid] == OrderStatus.PAID


def test_the_recharge_page_has_no_form_then(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    page = links[0].rsplit("/h5/", 1)[0] + "/h5/recharge"
    assert 'name="amount"' in phone.open(page).text
    pay_the_oldest(phone, links)
    shown = phone.open(page).text
    assert 'name="amount"' not in shown
    assert "请勿重复支付" in shown


def test_checking_an_unpaid_order_on_its_page_leads_to_the_paid_one(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    paid = pay_the_oldest(phone, links)
    page = phone.open(links[2].replace("/h5/pay/", "/h5/orders/"))
    form = next(form for form in page.forms if form.action.endswith("/check"))
    shown = phone.submit(page, form)
    assert paid in shown.url
    assert "正在到账" in shown.text


def test_while_wechat_does_not_answer_nothing_is_offered(quiet: Rig) -> None:
    phone = follower(quiet)
    links = three_orders(phone)
    for _ in range(3):
        phone.api("POST", "/sim/faults", {"name": "error_500", "place": "pay.query"})
    assert "/h5/pay/" not in phone.say("没到账")
    assert query_open(quiet.house.web, phone.openid).paid == ()
    for _ in range(3):
        phone.api("POST", "/sim/faults", {"name": "error_500", "place": "pay.query"})
    assert BUTTON not in phone.open(links[2]).text
