from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from billing.interface import Balance, ExchangeRecord, Lot, Offer
from bot.context import Silence
from models.errors import ServiceError, Unavailable, Unknown
from models.person import bound_account, find_person
from tests.handlers.handler_chat import BASE_URL, CONTACT, ME, MY_ACCOUNT, NOON, ROOMMATE, Chat

GB = 10**9


@dataclass(frozen=True)
class Scripted:
    """A back end that says what the test wants to see told; whatever else is asked is a bug."""

    balance_now: Balance | None = None
    offers: tuple[Offer, ...] = ()
    swaps: tuple[ExchangeRecord, ...] = ()
    trouble: ServiceError | None = None

    def __getattr__(self, name: str) -> Any:
        def answer(*_: Any, **__: Any) -> Any:
            if self.trouble is not None:
                raise self.trouble
            return {
                "balance": self.balance_now,
                "catalogue": list(self.offers),
                "exchange_log": list(self.swaps),
            }[name]

        return answer


def telling(chat: Chat, **script: Any) -> Chat:
    chat.services = replace(chat.services, billing=Scripted(**script))
    return chat


def lot(kind: str, name: str, left_gb: int) -> Lot:
    return Lot(kind, name, 60 * GB, (60 - left_gb) * GB, NOON, NOON + timedelta(days=20))


def balance(*lots: Lot) -> Balance:
    return Balance(MY_ACCOUNT, "*明", 1234, lots, NOON)


def offer(name: str, *, special: bool) -> Offer:
    return Offer("S1", name, 990, 50 * GB, 1, special, NOON + timedelta(days=3) if special else None)


@pytest.mark.parametrize("said", ["余额", "查余额", "ye", "YE", " 余额 "])
def test_the_owner_sees_balance_and_speed(bound: Chat, said: str) -> None:
    text = bound.say(said)
    assert "余额：12.34 元" in text
    assert "更新于 12:00" in text
    assert "网速：全速" in text
    assert "高速流量剩余：27.0 GB" in text


def test_the_package_and_its_end_are_shown(bound: Chat) -> None:
    text = telling(bound, balance_now=balance(lot("package", "20元不限量套餐", 12))).say("余额")
    assert "当前套餐：20元不限量套餐：剩 12.0 / 60.0 GB，有效至3月30日" in text


def test_a_used_up_account_is_throttled_not_cut(bound: Chat) -> None:
    text = telling(bound, balance_now=balance(lot("grant", "每月赠送", 0))).say("余额")
    assert "限速中" in text
    assert "不断网" in text
    assert "当前套餐：无" in text


@pytest.mark.parametrize("said", ["余额", "流量", "换购日志"])
def test_the_unbound_get_the_bind_link_and_nothing_else(chat: Chat, said: str) -> None:
    text = chat.say(said)
    assert f"{BASE_URL}/h5/bind" in text
    assert "12.34" not in text


@pytest.mark.parametrize("said", [f"余额{ROOMMATE}", f"查余额 {ROOMMATE}", f"{ROOMMATE}余额"])
def test_no_balance_of_a_typed_account(bound: Chat, said: str) -> None:
    text = bound.say(said)
    assert "987.65" not in text
    assert "*芳" not in text


@pytest.mark.parametrize("trouble", [Unavailable("down"), Unknown("silent")])
@pytest.mark.parametrize("said", ["余额", "流量", "换购日志", "充值", "充值5", "套餐", "资费"])
def test_a_silent_billing_system_is_admitted(bound: Chat, said: str, trouble: ServiceError) -> None:
    text = telling(bound, trouble=trouble).say(said)
    assert "计费系统暂时没有回应" in text
    assert CONTACT.hotline in text
    assert not bound.state.changed


@pytest.mark.parametrize("said", ["流量", "用量", "ll"])
def test_usage_is_this_months_with_the_chart(bound: Chat, said: str) -> None:
    text = bound.say(said)
    assert "本月已用：3.0 GB" in text
    assert "剩 27.0 / 30.0 GB，有效至3月31日" in text
    assert f"{BASE_URL}/h5/usage" in text
    assert f"{BASE_URL}/go/usage" in text


def test_last_months_use_does_not_count(bound: Chat) -> None:
    bound.clock.forward(days=24)
    assert "本月已用：0.0 GB" in bound.say("流量")


@pytest.mark.parametrize("said", ["套餐", "换购", "内网服务", "tc"])
def test_the_catalogue_comes_with_the_rule_and_the_intranet_link(chat: Chat, said: str) -> None:
    text = chat.say(said)
    for name in (
        "5元不限量套餐（8GB）",
        "10元不限量套餐（20GB）",
        "20元不限量套餐（60GB）",
        "30元不限量套餐（120GB）",
    ):
        assert name in text
    assert "一次只能换购一个流量包" in text
    assert f"{BASE_URL}/go/packages" in text
    assert f"{BASE_URL}/go/self" in text


def test_specials_are_marked_with_their_last_day(chat: Chat) -> None:
    text = telling(chat, offers=(offer("开学季", special=True), offer("标准", special=False))).say("套餐")
    assert "【特惠】开学季（9.90元，50GB，售至3月13日）" in text
    assert "· 标准（9.90元，50GB）" in text


def test_no_package_on_sale_is_said(chat: Chat) -> None:
    assert "没有在售套餐" in telling(chat).say("套餐")


def test_the_swap_log_shows_what_was_swapped(bound: Chat) -> None:
    swaps = tuple(ExchangeRecord(NOON - timedelta(days=n), f"包{n}", 500, GB, NOON, 7 - n) for n in range(7))
    text = telling(bound, swaps=swaps).tap("PACKAGE_LOG")
    assert f"{BASE_URL}/go/log" in text
    assert "03-10 12:00 包0 5.00 元" in text
    assert "包4" in text
    assert "包5" not in text


def test_an_empty_swap_log_says_so(bound: Chat) -> None:
    assert "还没有换购记录" in bound.say("换购日志")


def test_bind_links_to_the_unified_identity(chat: Chat) -> None:
    text = chat.say("绑定")
    assert f"{BASE_URL}/h5/bind" in text
    assert "统一身份认证" in text


def test_bind_shows_what_is_bound(bound: Chat) -> None:
    text = bound.tap("BIND")
    assert MY_ACCOUNT in text
    assert "解绑" in text


@pytest.mark.parametrize("yes", ["确认解绑", "确认"])
def test_unbinding_takes_two_taps(bound: Chat, yes: str) -> None:
    assert "确认解绑" in bound.say("解绑")
    assert account_of(bound) == MY_ACCOUNT
    assert "已解绑" in bound.say(yes)
    assert account_of(bound) is None


def test_unbinding_waits_for_the_second_tap(bound: Chat) -> None:
    bound.say("解绑")
    assert "确认解绑" in bound.say("嗯？")
    assert account_of(bound) == MY_ACCOUNT


def test_unbinding_nothing_says_so(chat: Chat) -> None:
    assert "没有绑定" in chat.say("解绑")


def test_a_late_second_tap_unbinds_nothing(bound: Chat) -> None:
    bound.say("解绑")
    bound.lose_state()
    assert "超过10分钟" in bound.say("确认解绑")
    assert account_of(bound) == MY_ACCOUNT


def test_a_binding_that_ended_meanwhile_is_no_error(bound: Chat) -> None:
    bound.say("解绑")
    bound.event("unsubscribe")
    assert "没有绑定" in bound.say("确认解绑")


def account_of(chat: Chat) -> str | None:
    with chat.services.reading() as session:
        return bound_account(session, ME)


def scene_of(chat: Chat) -> str | None:
    with chat.services.reading() as session:
        person = find_person(session, ME)
        return person.scene if person else None


@pytest.mark.parametrize(
    ("key", "scene"), [("qrscene_building_12", "building_12"), ("", None), ("last_trade_no_4200", None)]
)
def test_a_follower_is_welcomed_and_the_scene_remembered(chat: Chat, key: str, scene: str | None) -> None:
    answer = chat.event("subscribe", key)
    text = getattr(answer, "content", "")
    assert text.count("msgmenucontent=") == 3
    assert f"{BASE_URL}/h5/bind" in text
    assert scene_of(chat) == scene


def test_a_scan_is_greeted_and_remembered(chat: Chat) -> None:
    assert "欢迎" in getattr(chat.event("scan", "library"), "content", "")
    assert scene_of(chat) == "library"


def test_leaving_ends_the_binding_in_silence(bound: Chat) -> None:
    assert bound.event("unsubscribe") == Silence()
    assert account_of(bound) is None


def test_a_stranger_who_leaves_is_no_error(chat: Chat) -> None:
    assert chat.event("unsubscribe") == Silence()
    assert scene_of(chat) is None
