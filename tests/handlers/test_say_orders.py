from __future__ import annotations

import pytest

from models.errors import ServiceError, Unavailable, Unknown
from models.refund import RefundStatus
from payments import outbox
from payments.credit import deliver
from payments.orders import cancel, start_recharge
from tests.handlers.handler_chat import BASE_URL, ME, MY_ACCOUNT, ROOMMATE, Chat
from tests.money_back import hear, send_back


def ordered(chat: Chat, amount_fen: int = 500, account_no: str = MY_ACCOUNT) -> str:
    view = start_recharge(chat.services, openid=ME, account_no=account_no, amount_fen=amount_fen)
    return view.order_no


def credit(chat: Chat) -> None:
    """The worker's part of the one paid order."""
    with chat.services.transaction() as session:
        (claim,) = outbox.claim(session, "test", now=chat.clock(), limit=9, kinds=["credit"])
    deliver(chat.services, claim)


def test_records_show_the_last_five_with_state_and_link(bound: Chat) -> None:
    numbers = [ordered(bound, fen) for fen in (500, 600, 700, 800, 900, 1000)]
    cancel(bound.services, order_no=numbers[-1], openid=ME)
    text = bound.say("记录")
    assert f"{BASE_URL}/h5/orders/{numbers[-1]}" in text
    assert numbers[0] not in text
    assert text.count("待支付") == 4
    assert "10元→2400101001 已关闭" in text


@pytest.mark.parametrize("said", ["记录", "充值记录", "jl", "没到账"])
def test_without_orders_that_is_said(chat: Chat, said: str) -> None:
    assert "还没有充值记录" in chat.say(said)


def test_missing_money_is_asked_for_and_found(bound: Chat) -> None:
    order_no = ordered(bound)
    bound.wechat.paid[order_no] = 500
    text = bound.say("没到账")
    assert "状态：入账中" in text
    assert order_no in text


def test_missing_money_that_was_never_paid_offers_to_pay(bound: Chat) -> None:
    order_no = ordered(bound)
    text = bound.say("没到账")
    assert "还没有收到付款" in text
    assert f"{BASE_URL}/h5/pay/{order_no}" in text


@pytest.mark.parametrize("trouble", [Unknown("silent"), Unavailable("down")])
def test_when_wechat_does_not_answer_nobody_pretends(bound: Chat, trouble: ServiceError) -> None:
    ordered(bound)
    bound.wechat.trouble = trouble
    text = bound.say("没到账")
    assert "还不能确定" in text
    assert "不要重复支付" in text


def test_wechat_is_not_asked_without_end(bound: Chat) -> None:
    ordered(bound)
    for _ in range(6):
        bound.say("没到账")
    assert "频繁" in bound.say("没到账")


def test_a_typed_order_number_is_looked_up_in_any_case(bound: Chat) -> None:
    order_no = ordered(bound, 2000, ROOMMATE)
    text = bound.say(order_no.upper())
    assert "20.00 元 → 2400101002（*芳）" in text
    assert "状态：待支付" in text


def test_a_credited_order_says_so_but_never_the_balance_of_the_account(bound: Chat) -> None:
    order_no = ordered(bound, 500, ROOMMATE)
    bound.wechat.paid[order_no] = 500
    bound.say("没到账")
    credit(bound)
    text = bound.say(order_no)
    assert "已到账" in text
    assert "992.65" not in text


def test_nobody_sees_the_order_of_another(bound: Chat) -> None:
    view = start_recharge(bound.services, openid="oSomebodyElse", account_no=ROOMMATE, amount_fen=500)
    assert bound.say(view.order_no) == "没有找到这笔订单"


def test_money_back_is_told_beside_the_state(bound: Chat) -> None:
    order_no = ordered(bound)
    bound.wechat.paid[order_no] = 500
    bound.say("没到账")
    credit(bound)
    number = send_back(bound.services, order_no, 200)
    assert "5元→2400101001 已到账，退款中 ¥2.00" in bound.say("记录")
    hear(bound.services, number, RefundStatus.SUCCESS)
    assert "5元→2400101001 已到账，已退款 ¥2.00" in bound.say("记录")
    assert "状态：已到账，已退款 ¥2.00" in bound.say(order_no)


def test_an_order_that_goes_back_as_a_whole_says_so_once(bound: Chat) -> None:
    order_no = ordered(bound)
    bound.wechat.paid[order_no] = 500
    bound.say("没到账")
    number = send_back(bound.services, order_no, 500)
    assert "5元→2400101001 退款中 ¥5.00" in bound.say("记录")
    hear(bound.services, number, RefundStatus.SUCCESS)
    text = bound.say(order_no)
    assert "状态：已退款 ¥5.00" in text
    assert "充值成功" not in text
    assert "5元→2400101001 已退款 ¥5.00" in bound.say("记录")
