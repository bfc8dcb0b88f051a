"""Somebody who said nothing for two days is told by template message, once, and by day."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from app.phone import link_in
from app.redis_server import RedisServer
from models.outbox import OutboxItem
from models.values.actor import Actor
from payments import alerts
from payments.refunds import approval as refunds
from sandbox.credentials import Credentials
from sandbox.oa.templates import DEFAULTS, id_of
from tests.conftest import fresh_redis_url
from tests.journeys.town import Student, Town
from tests.rig import Rig, eventually

TUESDAY = 1


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, credentials: Credentials, redis_server: RedisServer
) -> Iterator[Town]:
    """A town whose official account has templates."""
    folder = tmp_path_factory.mktemp("town")
    ids = {title: id_of(credentials.app_id, title, content) for title, content in DEFAULTS.items()}
    templates = {"money_id": ids["充值结果通知"], "notice_id": ids["服务通知"]}

    def make(**options: Any) -> Rig:
        return Rig(
            folder,
            credentials,
            database_url=f"sqlite:///{folder / 'campusnet.db'}",
            redis_url=fresh_redis_url(redis_server),
            wechat={"templates": templates},
            **options,
        )

    built = Town(make)
    yield built
    built.rig.close()


def outcomes(town: Town, kind: str, student: Student) -> list[str | None]:
    with town.house.database.reading() as session:
        items = session.scalars(
            select(OutboxItem)
            .where(OutboxItem.kind == kind, OutboxItem.done_at.is_not(None))
            .order_by(OutboxItem.id)
        )
        return [item.last_error for item in items if item.payload["openid"] == student.own_openid]


def alert(town: Town, student: Student) -> None:
    """A low balance, looked at now."""
    alerts.choose(town.house.web, student.own_openid, low_balance_fen=99_900)
    alerts.watch_balances(town.house.web)


def test_the_templates_of_the_account_are_as_configured(town: Town) -> None:
    assert town.house.notices.faults() == []


def test_an_alert_goes_as_customer_message_after_a_word_and_as_template_after_two_days(town: Town) -> None:
    town.move_to(TUESDAY, 12)
    talker, silent = town.newcomer().bound(), town.newcomer().bound()
    town.move(hours=49)
    talker.say("余额")
    for student in (talker, silent):
        alert(town, student)
    for student, outcome in ((talker, "SENT"), (silent, "SENT_BY_TEMPLATE")):
        assert eventually(partial(outcomes, town, alerts.JOB, student), "the alert") == [outcome]
    (shown,) = [bubble for bubble in silent.messages() if bubble["kind"] == "template"]
    assert shown["data"]["thing2"] == "余额12.34元，请充值"
    assert shown["url"].endswith("/h5/recharge")
    assert not [bubble for bubble in talker.messages() if bubble["kind"] == "template"]


def paid_and_later_refunded(town: Town, student: Student, *, leaves: bool = False) -> str:
    student.say("充值5")
    order_no = student.pay(link_in(student.say("确认"), "/h5/pay/"))
    student.wait_for("充值到账", order_no)
    # On the phone is not yet written down: in between, the jump of the clock would end the worker's lease.
    eventually(lambda: outcomes(town, "message", student), "充值到账 written down")
    town.move(hours=49)
    if leaves:
        student.push("unfollow")
    wanted = refunds.request(
        town.house.web, order_no=order_no, amount_fen=200, reason="充错账号", actor=Actor.from_name("anna")
    )
    refunds.approve(town.house.web, out_refund_no=wanted.out_refund_no, actor=Actor.from_name("bert"))
    eventually(lambda: len(outcomes(town, "message", student)) == 2, "退款中")
    return order_no


def test_a_refund_days_after_the_payment_is_told_by_template(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid_and_later_refunded(town, student)
    assert outcomes(town, "message", student) == ["SENT", "SENT_BY_TEMPLATE"]
    (shown,) = [bubble for bubble in student.messages() if bubble["kind"] == "template"]
    assert (shown["data"]["amount2"], shown["data"]["phrase4"]) == ("2.00元", "退款中")
    assert shown["url"].endswith(f"/h5/orders/{order_no}")


def test_who_has_left_is_told_nothing_and_nobody_tries_again(town: Town) -> None:
    student = town.newcomer().bound()
    paid_and_later_refunded(town, student, leaves=True)
    assert outcomes(town, "message", student) == ["SENT", "UNREACHABLE"]
