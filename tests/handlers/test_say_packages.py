"""换购 where money is missing: what each package still lacks, and the link that pays and swaps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from billing.interface import Balance, Capabilities, Lot, Offer
from tests.handlers.handler_chat import BASE_URL, MY_ACCOUNT, NOON, SITE, Chat

GB = 10**9
MAX_BYTES = 2048
CAN = Capabilities(
    find_credit=True, reverse=True, exchange=True, usage=True, sessions=True, kick=False, local=True
)


@dataclass(frozen=True)
class Scripted:
    """A back end with this balance and these offers."""

    seen: Balance
    offers: tuple[Offer, ...]
    can: Capabilities = CAN

    def balance(self, account_no: str) -> Balance:
        assert account_no == MY_ACCOUNT
        return self.seen

    def catalogue(self, account_no: str | None = None) -> list[Offer]:
        assert account_no == MY_ACCOUNT
        return list(self.offers)

    def capabilities(self) -> Capabilities:
        return self.can


def telling(chat: Chat, *offers: Offer, left_gb: int = 0, **changes: Any) -> Chat:
    lot = Lot("package", "10元不限量套餐", 20 * GB, (20 - left_gb) * GB, NOON, NOON + timedelta(days=20))
    seen = Balance(MY_ACCOUNT, "*小明", 1234, (lot,), NOON)
    chat.services = replace(chat.services, billing=Scripted(seen, offers, **changes))  # type: ignore[arg-type]
    return chat


def offer(code: str, price_fen: int, name: str = "", **changes: Any) -> Offer:
    return Offer(
        code, name or f"套餐{code}", price_fen, 50 * GB, 1, special=False, sale_until=None, **changes
    )


def linked(text: str) -> list[tuple[str, str]]:
    """What is missing and the package behind the link beside it."""
    return re.findall(
        rf'还差 ([\d.]+) 元：<a href="{re.escape(BASE_URL)}/h5/recharge\?package=([^"]+)">', text
    )


@pytest.mark.parametrize("said", ["换购", "套餐", "充值并换购", "充值换购", "充值买流量"])
def test_what_is_missing_stands_below_each_package(bound: Chat, said: str) -> None:
    text = bound.say(said)
    assert linked(text) == [("7.66", "P20"), ("17.66", "P30")]
    below = text.splitlines()
    assert below[below.index("· 20元不限量套餐（60GB）") + 1].startswith("　还差 7.66 元")
    assert "账户余额：12.34 元" in text
    assert "当前没有未用完的流量包" in text
    assert f"{BASE_URL}/go/packages" in text


def test_the_menu_says_the_same(bound: Chat) -> None:
    assert bound.tap("PACKAGES") == bound.say("换购")


def test_who_has_bound_nothing_learns_of_no_balance(chat: Chat) -> None:
    text = chat.say("充值并换购")
    assert "20元不限量套餐" in text
    for words in ("还差", "余额", "12.34"):
        assert words not in text


def test_while_a_package_runs_it_is_named_and_nothing_is_offered(bound: Chat) -> None:
    text = telling(bound, offer("A", 9900), left_gb=12).say("换购")
    assert linked(text) == []
    assert "当前10元不限量套餐：剩 12.0 / 20.0 GB" in text
    assert linked(telling(bound, offer("A", 9900), left_gb=0).say("换购")) == [("86.66", "A")]


@pytest.mark.parametrize(
    "unfit",
    [
        offer("SOLD", 9900, stock_left=0),
        offer("PAID", 1234),
        # 500 yuan is the most that one recharge takes.
        offer("DEAR", 51_235),
    ],
)
def test_only_what_money_alone_brings_is_offered(bound: Chat, unfit: Offer) -> None:
    text = telling(bound, unfit, offer("B", 51_234), offer("E", 1235, stock_left=1)).say("换购")
    assert linked(text) == [("500.00", "B"), ("0.01", "E")]


def test_a_back_end_that_cannot_swap_offers_none(bound: Chat) -> None:
    text = telling(bound, offer("A", 9900), can=replace(CAN, exchange=False)).say("换购")
    assert linked(text) == []
    assert "套餐A" in text


def test_a_code_from_outside_stays_inside_the_link(bound: Chat) -> None:
    assert linked(telling(bound, offer('"><b&x', 9900)).say("换购")) == [("86.66", "%22%3E%3Cb%26x")]


def test_a_long_catalogue_fits_into_a_reply(bound: Chat) -> None:
    plain = [offer(f"S{n:02d}", 9900 + n, "长" * 64) for n in range(30)]
    offers = [replace(each, special=True, sale_until=NOON, validity_months=12) for each in plain]
    telling(bound, *offers)
    bound.services = replace(
        bound.services,
        site=replace(SITE, base_url="https://a-rather-long-host-name.of-some.university.example.edu.cn"),
    )
    text = bound.say("换购")
    assert len(text.encode()) <= MAX_BYTES
    assert text.count("充值并换购") > 1
    assert "/go/packages" in text
