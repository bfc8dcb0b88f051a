import re

import pytest

from bot.limits import NAME_LOOKUPS
from models.money import yuan
from models.order import orders_of
from payments.recovery.opening import open_recovery
from tests.handlers.handler_chat import BASE_URL, ME, MY_ACCOUNT, ROOMMATE, Chat


def orders(chat: Chat) -> list[tuple[str, int]]:
    with chat.services.reading() as session:
        return [(order.account_no, order.amount_fen) for order in orders_of(session, ME)]


def pay_links(text: str) -> list[str]:
    return re.findall(rf'href="({BASE_URL}/h5/pay/[^"]+)"', text)


def taps(text: str) -> list[str]:
    return re.findall(r"msgmenucontent=([^&]*)&", text)


def test_recharge_offers_the_amounts_for_the_bound_account(bound: Chat) -> None:
    text = bound.say("充值")
    assert f"{MY_ACCOUNT}（*小明）" in text
    assert taps(text)[:7] == ["充值5", "充值10", "充值20", "充值50", "充值100", "充值200", "其他金额"]
    assert "给他人充值" in taps(text)


@pytest.mark.parametrize(
    ("said", "amount_fen"),
    [
        ("充值5", 500),
        ("充值 5元", 500),
        ("5元", 500),
        ("五块", 500),
        ("cz20", 2000),
        ("CZ 20", 2000),
        ("充20", 2000),
        ("20块", 2000),
        ("２０元", 2000),
        ("¥20", 2000),
        ("￥20", 2000),
        ("充值5.00", 500),
        ("我要充值两百", 20000),
        ("充值13", 1300),
    ],
)
def test_an_amount_goes_straight_to_its_confirmation(bound: Chat, said: str, amount_fen: int) -> None:
    text = bound.say(said)
    assert f"充值金额：{yuan(amount_fen)} 元" in text
    assert MY_ACCOUNT in text
    assert taps(text) == ["确认", "取消"]
    assert orders(bound) == []


def test_confirming_makes_one_order_and_one_link(bound: Chat) -> None:
    bound.say("充值5")
    text = bound.say("确认")
    assert "请核对" in text
    assert "充错无法退回" in text
    assert len(pay_links(text)) == 1
    assert text.count("href=") == 1
    assert orders(bound) == [(MY_ACCOUNT, 500)]


def test_the_same_open_order_is_offered_again(bound: Chat) -> None:
    links = set()
    for _ in range(2):
        bound.say("充值5")
        links.update(pay_links(bound.say("确认")))
    assert len(links) == 1
    assert orders(bound) == [(MY_ACCOUNT, 500)]


def test_a_second_yes_makes_no_second_order(bound: Chat) -> None:
    bound.say("充值5")
    bound.say("确认")
    assert "没有等待确认" in bound.say("确认")
    assert len(orders(bound)) == 1


def test_another_amount_replaces_the_one_to_confirm(bound: Chat) -> None:
    bound.say("充值5")
    assert "20.00" in bound.say("20")
    bound.say("好的")
    assert orders(bound) == [(MY_ACCOUNT, 2000)]


def test_anything_else_before_the_yes_shows_the_question_again(bound: Chat) -> None:
    bound.say("充值5")
    text = bound.say("等一下")
    assert "5.00" in text
    assert taps(text) == ["确认", "取消"]
    assert orders(bound) == []


def test_another_word_leaves_the_question_open(bound: Chat) -> None:
    bound.say("充值5")
    assert "余额" in bound.say("余额")
    assert len(pay_links(bound.say("确认"))) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [("充值0.5", "最少"), ("充值501", "最多"), ("充值5.5", "整数倍"), ("充值5.555", "两位小数")],
)
def test_a_wrong_amount_is_explained_and_asked_again(bound: Chat, said: str, why: str) -> None:
    text = bound.say(said)
    assert why in text
    assert "充值5" in taps(text)
    assert "20.00" in bound.say("20")


def test_a_wrong_amount_does_not_slip_past_the_confirmation(bound: Chat) -> None:
    bound.say("充值5")
    assert "最多" in bound.say("600元")
    bound.say("确认")
    assert orders(bound) == []


def test_other_amounts_are_typed(bound: Chat) -> None:
    bound.say("充值")
    assert "直接输入" in bound.say("其他金额")
    assert "没有看懂" in bound.say("很多很多")
    assert "15.00" in bound.say("15")


def test_without_a_binding_the_account_is_typed_twice_and_its_masked_name_shown(chat: Chat) -> None:
    asked = chat.say("充值")
    assert f"{BASE_URL}/h5/bind" in asked
    assert "再输入一次" in chat.say(ROOMMATE)
    named = chat.say(ROOMMATE)
    assert "*芳" in named
    assert "王芳" not in named
    assert "5" in taps(chat.say("确认"))
    assert "50.00" in chat.say("50")
    chat.say("确认")
    assert orders(chat) == [(ROOMMATE, 5000)]


def test_an_amount_said_first_is_remembered_while_the_account_is_asked(chat: Chat) -> None:
    assert "5 元" in chat.say("充值5")
    chat.say(ROOMMATE)
    text = chat.say(ROOMMATE)
    assert "充值金额：5.00 元" in text
    assert "*芳" in text


def test_an_amount_said_instead_of_the_account_is_understood(chat: Chat) -> None:
    chat.say("充值")
    assert "20 元" in chat.say("充值20")
    chat.say(ROOMMATE)
    assert "10 元" in chat.say("10元")
    assert "最多" in chat.say("充值9999")


def test_two_different_accounts_start_again(bound: Chat) -> None:
    bound.say("给他人充值")
    bound.say(ROOMMATE)
    assert "不一致" in bound.say(MY_ACCOUNT)
    assert "再输入一次" in bound.say(ROOMMATE)
    assert "*芳" in bound.say(ROOMMATE)


def test_an_account_that_does_not_exist_is_asked_again(chat: Chat) -> None:
    chat.say("给他人充值")
    chat.say("2499999999")
    assert "没有找到" in chat.say("2499999999")
    assert "再输入一次" in chat.say(ROOMMATE)


def test_what_is_no_account_is_not_looked_up(chat: Chat) -> None:
    chat.say("给他人充值")
    assert "不像" in chat.say("王芳的账号")


def test_recharging_for_others_asks_for_the_account_even_when_bound(bound: Chat) -> None:
    assert "请输入要充值的校园网账号" in bound.tap("RECHARGE_OTHER")
    bound.say(ROOMMATE)
    assert "确认" in taps(bound.say(ROOMMATE))
    assert "等" not in bound.say("确认")
    bound.say("其他金额")
    assert ROOMMATE in bound.say("7")
    bound.say("确认")
    assert orders(bound) == [(ROOMMATE, 700)]


def test_the_name_is_asked_again_until_it_is_confirmed(chat: Chat) -> None:
    chat.say("代充")
    chat.say(ROOMMATE)
    chat.say(ROOMMATE)
    assert "*芳" in chat.say("这是谁")
    assert orders(chat) == []


def test_names_cannot_be_looked_up_one_after_the_other(chat: Chat) -> None:
    for _ in range(NAME_LOOKUPS[0].limit):
        chat.say("给他人充值")
        chat.say(ROOMMATE)
        assert "*芳" in chat.say(ROOMMATE)
    chat.say("给他人充值")
    chat.say(ROOMMATE)
    text = chat.say(ROOMMATE)
    assert "*芳" not in text
    assert text


def test_a_tapped_amount_for_somebody_else_never_turns_to_ones_own_account(bound: Chat) -> None:
    bound.say("给他人充值")
    bound.say(ROOMMATE)
    bound.say(ROOMMATE)
    tapped = taps(bound.say("确认"))[0]
    bound.lose_state()
    assert "超过10分钟" in bound.say(tapped)
    bound.say("确认")
    assert orders(bound) == []


@pytest.mark.parametrize("word", ["取消", "返回"])
@pytest.mark.parametrize("path", [["充值"], ["充值5"], ["给他人充值"], ["给他人充值", ROOMMATE], ["解绑"]])
def test_every_state_can_be_left(bound: Chat, path: list[str], word: str) -> None:
    for said in path:
        bound.say(said)
    assert "已取消" in bound.say(word)
    assert bound.state.name == ""
    assert "没有等待确认" in bound.say("确认")


def test_leaving_nothing_says_so(chat: Chat) -> None:
    assert "没有进行中" in chat.say("取消")


@pytest.mark.parametrize("said", ["确认", "取消", ROOMMATE, "5", "充值20"])
def test_a_state_that_ran_out_says_so(bound: Chat, said: str) -> None:
    bound.say("充值5")
    bound.lose_state()
    assert "刚才的操作已超过10分钟" in bound.say(said)
    assert orders(bound) == []


def test_the_daily_limit_is_told(bound: Chat) -> None:
    bound.say("充值500")
    order_no = pay_links(bound.say("确认"))[0].rsplit("/", 1)[1]
    bound.wechat.paid[order_no] = 50000
    bound.say("没到账")
    bound.say("充值500")
    other = pay_links(bound.say("确认"))[0].rsplit("/", 1)[1]
    bound.wechat.paid[other] = 50000
    bound.say("没到账")
    bound.say("充值5")
    assert "今日累计" in bound.say("确认")


def test_while_a_restored_database_is_recovered_no_order_is_made(bound: Chat) -> None:
    bound.say("充值20")
    with bound.services.transaction() as session:
        now = bound.services.clock()
        open_recovery(session, since=now, backup_no="b1", actor="anna", now=now)
    assert "维护中" in bound.say("确认")
    assert orders(bound) == []
