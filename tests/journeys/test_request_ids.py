"""One id from the proxy's header to the delivery of what the request enqueued."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from structlog.typing import EventDict

from app import worker
from app.phone import link_in
from bot import robot
from bot.context import Answer
from models.outbox import OutboxItem, OutboxStatus
from payments import notify
from tests.journeys.town import Town
from tests.logged import lines_of
from tests.rig import eventually

PAID, PUSHED = "feed" * 8, "c0de" * 8


class Proxied:
    """The application behind a proxy that gives each request to `path` this id."""

    def __init__(self, town: Town, path: str, number: str) -> None:
        self._app, self._path, self._number = town.rig._app, path, number

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == self._path:
            environ["HTTP_X_REQUEST_ID"] = self._number
        return self._app(environ, start_response)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    return lines_of(monkeypatch, notify, worker)


def test_a_payment_is_followed_from_the_callback_to_the_message(
    town: Town, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    monkeypatch.setattr(town.rig, "_app", Proxied(town, "/wechatpay/notify", PAID))
    student = town.newcomer().bound()
    student.say("充值5")
    order_no = student.pay(link_in(student.say("确认"), "/h5/pay/"))

    def delivered() -> list[OutboxItem]:
        with town.house.database.reading() as session:
            rows = session.scalars(select(OutboxItem).where(OutboxItem.key.contains(order_no))).all()
        found = [row for row in rows if row.kind in ("credit", "message") and row.status == OutboxStatus.DONE]
        return found if len({row.kind for row in found}) == 2 else []

    rows = eventually(delivered, "credit and message are delivered")
    assert {row.request_id for row in rows} == {PAID}
    assert [line["request_id"] for line in lines if line["event"] == "callback_kept"] == [PAID]
    items = {row.id for row in rows}

    def tried() -> list[EventDict]:
        found = [line for line in lines if line["event"] == "item_tried" and line["item"] in items]
        return found if {line["item"] for line in found} == items else []

    assert {line["request_id"] for line in eventually(tried, "the worker's lines")} == {PAID}


def test_the_thread_of_a_handler_logs_under_the_id_of_its_push(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = lines_of(monkeypatch, robot, name="_log")
    student = town.newcomer()
    student.follow()

    def broken(*_arguments: object, **_named: object) -> Answer:
        raise RuntimeError

    monkeypatch.setattr(robot.CampusRobot, "_answer", broken)
    monkeypatch.setattr(town.rig, "_app", Proxied(town, "/wechat", PUSHED))
    assert "抱歉" in student.say("余额")
    assert [line["request_id"] for line in said] == [PUSHED]
