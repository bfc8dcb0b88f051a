"""充值并换购 from the chat: one word, one page, one payment, and the package runs; also off the campus."""

from __future__ import annotations

import pytest

from app.phone import PhoneError, link_in
from tests.journeys.town import Town

PACKAGE = "20元不限量套餐"


@pytest.mark.parametrize(("network", "words"), [("campus", "换购"), ("mobile", "充值并换购")])
def test_from_a_word_to_a_running_package(town: Town, network: str, words: str) -> None:
    student = town.newcomer().bound()
    student.network(network)
    told = student.say(words)
    assert "还差 7.66 元" in told
    page = student.open(link_in(told, "/h5/recharge?package=P20"))
    assert "到账后自动换购</h2>" in page.text
    paying = student.submit(page, page.form("/h5/recharge"))
    assert f"<dt>到账后换购</dt><dd>{PACKAGE}" in paying.text
    assert "¥8.00" in paying.text
    order_no = student.pay(paying.url)
    student.wait_for("换购成功", PACKAGE)
    assert town.orders(student)[0].order_no == order_no
    balance = student.say("余额")
    assert "余额：0.34 元" in balance
    assert f"当前套餐：{PACKAGE}：剩 60.0 / 60.0 GB" in balance
    # One at a time: until it is used up the chat offers no other.
    after = student.say("换购")
    assert f"当前{PACKAGE}：剩 60.0 / 60.0 GB" in after
    with pytest.raises(PhoneError):
        link_in(after, "/h5/recharge?package=")


def test_whoever_has_bound_nothing_is_not_told_what_is_missing(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    told = student.say("充值并换购")
    assert PACKAGE in told
    assert "还差" not in told
