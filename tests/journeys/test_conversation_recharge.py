"""What the account answers about recharges, from amounts to records: through the sandbox, in safe mode."""

from __future__ import annotations

import pytest

from app.phone import link_in
from models.money import mask_name
from models.order import OrderStatus
from tests.journeys.town import NAME, Student, Town, taps

OTHER = "孙七七"
PRESETS = ["5", "10", "20", "50", "100", "200"]


def unbound(town: Town) -> Student:
    student = town.newcomer()
    student.follow()
    return student


def test_recharge_offers_the_amounts_to_tap_for_ones_own_account(town: Town) -> None:
    student = town.newcomer().bound()
    offered = student.say("充值")
    assert student.account_no in offered
    assert f"（{mask_name(NAME)}）" in offered
    assert taps(offered)[:7] == [*(f"充值{amount}" for amount in PRESETS), "其他金额"]
    shown = student.tap(offered, "充值20")
    assert "20.00 元" in shown
    assert taps(shown) == ["确认", "取消"]
    assert "20.00" in student.tap(shown, "确认")
    assert [order.amount_fen for order in town.orders(student)] == [2000]


def test_another_amount_is_typed(town: Town) -> None:
    student = town.newcomer().bound()
    asked = student.tap(student.say("充值"), "其他金额")
    assert "1 到 500 元" in asked
    assert "7.00 元" in student.say("７")


def test_an_unbound_person_is_asked_for_the_account(town: Town) -> None:
    student = unbound(town)
    asked = student.say("充值")
    assert "请输入要充值的校园网账号" in asked
    assert link_in(asked, "/h5/bind")
    student.say(student.account_no)
    assert f"（{mask_name(NAME)}）" in student.say(student.account_no)


@pytest.mark.parametrize(
    ("words", "amount"),
    [("充值5", "5.00"), ("充值 5元", "5.00"), ("5元", "5.00"), ("cz20", "20.00"), ("五块", "5.00"),
     ("充值5.00", "5.00"), ("充值５", "5.00"), ("５元", "5.00"), ("CZ 100", "100.00"),
     ("充值十五元", "15.00")],
)  # fmt: skip
def test_an_amount_leads_straight_to_its_confirmation(town: Town, words: str, amount: str) -> None:
    student = town.newcomer().bound()
    shown = student.say(words)
    assert f"充值金额：{amount} 元" in shown
    assert student.account_no in shown
    assert taps(shown) == ["确认", "取消"]
    assert town.orders(student) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [("充值0", "1 元"), ("充值501", "500 元"), ("充值5.001", "两位小数"), ("充值5.5", "整数倍"),
     ("充值一百五", "金额")],
)  # fmt: skip
def test_an_amount_that_cannot_be_is_refused_with_a_sentence(town: Town, words: str, why: str) -> None:
    student = town.newcomer().bound()
    told = student.say(words)
    assert why in told
    assert "确认" not in taps(told)
    assert "充值5" in taps(told)


def test_an_amount_said_by_an_unbound_person_is_kept_while_the_account_is_asked(town: Town) -> None:
    student, owner = unbound(town), town.newcomer(OTHER)
    assert "充值 5 元" in student.say("充值5")
    student.say(owner.account_no)
    shown = student.say(owner.account_no)
    assert f"（{mask_name(OTHER)}）" in shown
    assert "5.00 元" in shown


def test_for_somebody_else_the_account_is_typed_twice_and_the_name_confirmed(town: Town) -> None:
    payer, owner = town.newcomer().bound(), town.newcomer(OTHER)
    assert "请输入要充值的校园网账号" in payer.say("给他人充值")
    assert "再输入一次" in payer.say(owner.account_no)
    differs = payer.say(payer.account_no)
    assert "不一致" in differs
    assert mask_name(OTHER) not in differs
    payer.say(owner.account_no)
    named = payer.say(owner.account_no)
    assert f"（{mask_name(OTHER)}）" in named
    assert OTHER not in named
    assert "确认" in taps(payer.say("是谁呀"))
    amounts = payer.tap(named, "确认")
    assert taps(amounts)[:6] == PRESETS
    shown = payer.tap(amounts, "10")
    assert owner.account_no in shown
    pay = payer.open(link_in(payer.tap(shown, "确认"), "/h5/pay/"))
    assert owner.account_no in pay.text
    assert [(order.account_no, order.amount_fen) for order in town.orders(payer)] == [
        (owner.account_no, 1000)
    ]


def test_an_account_that_does_not_exist_is_asked_for_again(town: Town) -> None:
    student = unbound(town)
    student.say("给他人充值")
    assert "不像是校园网账号" in student.say("我不知道")
    student.say("9999999999")
    assert "没有找到" in student.say("9999999999")
    assert "再输入一次" in student.say(student.account_no)


def test_confirming_makes_one_order_with_one_link_and_offers_the_same_one_again(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    first = student.say("确认")
    assert "请核对" in first
    assert "充错无法退回" in first
    assert first.count("href=") == 1
    student.say("充值5")
    second = student.say("确认")
    assert link_in(second, "/h5/pay/") == link_in(first, "/h5/pay/")
    assert len(town.orders(student)) == 1
    page = student.open(link_in(first, "/h5/pay/"))
    assert page.status == 200
    assert "5.00" in page.text


def test_confirming_without_a_question_makes_no_order(town: Town) -> None:
    student = town.newcomer().bound()
    assert "没有等待确认" in student.say("确认")
    assert town.orders(student) == []


STATES = {
    "account": ("给他人充值",),
    "account again": ("给他人充值", "{}"),
    "name": ("给他人充值", "{}", "{}"),
    "amount": ("充值",),
    "confirm": ("充值5",),
    "unbind": ("解绑",),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("words", ["取消", "返回"])
def test_any_state_can_be_left(town: Town, state: str, words: str) -> None:
    student, owner = town.newcomer().bound(), town.newcomer()
    for said in STATES[state]:
        student.say(said.format(owner.account_no))
    assert "已取消" in student.say(words)
    assert "没有进行中" in student.say(words)
    assert "没有等待确认" in student.say("确认")


@pytest.mark.parametrize("state", STATES)
def test_a_state_expires_after_ten_minutes_and_says_so(town: Town, state: str) -> None:
    student, owner = town.newcomer().bound(), town.newcomer()
    for said in STATES[state]:
        student.say(said.format(owner.account_no))
    town.move(minutes=10, seconds=1)
    assert "已超过10分钟" in student.say("确认")
    assert town.orders(student) == []
    assert student.account_no in student.say("余额")


def test_a_state_lasts_almost_ten_minutes(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    town.move(minutes=9)
    assert link_in(student.say("确认"), "/h5/pay/")


def test_leaving_an_expired_state_says_that_it_is_gone(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    town.move(minutes=11)
    assert "已超过10分钟" in student.say("取消")


@pytest.mark.parametrize("words", ["记录", "没到账", "订单号"])
def test_somebody_who_never_ordered_is_told_so(town: Town, words: str) -> None:
    assert "还没有充值记录" in unbound(town).say(words)


def test_records_show_the_last_orders_with_their_state(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    paid = student.pay(link_in(student.say("确认"), "/h5/pay/"))
    student.wait_for("充值到账", paid)
    student.say("充值6")
    student.say("确认")
    for words in ("记录", "订单号"):
        told = student.say(words)
        assert told.index("6元") < told.index("5元")
        assert "待支付" in told
        assert "已到账" in told
    page = student.open(link_in(told, f"/h5/orders/{paid}"))
    assert page.status == 200
    assert paid in page.text


def test_a_typed_order_number_shows_its_state_to_its_owner_only(town: Town) -> None:
    student, stranger = town.newcomer().bound(), unbound(town)
    student.say("充值5")
    order_no = link_in(student.say("确认"), "/h5/pay/").rsplit("/", 1)[-1]
    for typed in (order_no, order_no.upper(), f" {order_no} "):
        told = student.say(typed)
        assert order_no in told
        assert "待支付" in told
        assert link_in(told, f"/h5/pay/{order_no}")
    assert "没有找到这笔订单" in stranger.say(order_no)
    assert "没有找到这笔订单" in student.say(f"r20260101{'0' * 11}")


def test_money_that_did_not_arrive_is_asked_for_and_credited(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    link = link_in(student.say("确认"), "/h5/pay/")
    unpaid = student.say("没到账")
    assert "还没有收到付款" in unpaid
    student.api("POST", "/sim/faults", {"name": "lost", "place": "pay.notify"})
    order_no = student.pay(link)
    assert town.orders(student)[0].status != OrderStatus.PAID
    told = student.tap(unpaid, "没到账")
    assert order_no in told
    assert "待支付" not in told
    assert "5.00" in student.wait_for("充值到账", order_no)
    assert "17.34" in student.say("余额")
