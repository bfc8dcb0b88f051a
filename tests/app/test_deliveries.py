"""What becomes of a message that was put off, and of a refusal that is about the whole account."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import select

from app.deliveries import STALE, deliver_message
from bot.client import WechatClient
from bot.errors import refusal
from bot.notices import Notices, Template
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.review import ReviewItem
from models.tidings import Form
from payments import outbox
from payments.outcome import Done, Later, Outcome, Pause
from tests.builders import World

TEMPLATE = {Form.NOTICE: Template("T1", {"thing1": "title"})}
SAID = {"form": "notice", "words": {"title": "流量提醒"}, "path": "/h5/usage"}


class Api:
    """Answers each way of sending with an errcode, or with nothing to say."""

    def __init__(self, text: int = 0, template: int = 0) -> None:
        self.api = self.message = self
        self.codes = {"text": text, "template": template}
        self.sent: list[str] = []

    def send_text(self, _openid: str, _text: str) -> None:
        self._answer("text")

    def post(self, _path: str, _body: object) -> None:
        self._answer("template")

    def _answer(self, way: str) -> None:
        if self.codes[way]:
            raise refusal(self.codes[way], "no")
        self.sent.append(way)


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


def deliver(world: World, api: Api, *, hours: float = 0, templates: bool = False) -> Outcome:
    """Deliver one message that has waited so long."""
    now = world.clock()
    payload = {"openid": "oA", "text": "充值到账", **({"template": SAID} if templates else {})}
    held = outbox.Claim(1, "message", "m", payload, 1, "w", now, created_at=now - timedelta(hours=hours))
    notices = Notices(cast("WechatClient", api), TEMPLATE if templates else {})
    return deliver_message(notices, world.services, held)


def at(world: World, hour: int) -> None:
    world.clock.now = datetime(2026, 3, 10, hour, tzinfo=CAMPUS_ZONE)


@pytest.mark.parametrize("code", [40001, 40014, 42001, 48001, 40164])
def test_a_refused_account_pauses_the_lane(world: World, code: int) -> None:
    outcome = deliver(world, Api(text=code))
    assert isinstance(outcome, Pause)
    assert str(code) in outcome.reason
    assert outcome.alarm
    assert outcome.at - world.clock() <= timedelta(minutes=1)


def test_a_used_up_quota_pauses_until_midnight_and_this_message_until_morning(world: World) -> None:
    at(world, 14)
    outcome = deliver(world, Api(text=45009))
    assert isinstance(outcome, Pause)
    assert outcome.until is not None
    assert outcome.until.astimezone(CAMPUS_ZONE).hour == 0
    assert outcome.at.astimezone(CAMPUS_ZONE).hour == 8


def test_used_up_templates_pause_nothing_and_are_told_once(world: World) -> None:
    for _ in range(3):
        outcome = deliver(world, Api(text=45015, template=45009), templates=True)
        assert isinstance(outcome, Later)
    with world.database.reading() as session:
        assert [item.key for item in session.scalars(select(ReviewItem))] == ["templates:2026-03-10"]
    assert isinstance(deliver(world, Api(text=45009, template=45009), templates=True), Pause)


def test_a_limit_of_a_minute_raises_no_alarm(world: World) -> None:
    outcome = deliver(world, Api(text=45011))
    assert isinstance(outcome, Pause)
    assert (outcome.alarm, outcome.until) == (False, world.clock() + timedelta(minutes=1))


@pytest.mark.parametrize(("hours", "sent"), [(0, True), (35, True), (37, False), (24 * 30, False)])
def test_a_message_that_says_nothing_new_any_more_is_not_sent(
    world: World, hours: float, *, sent: bool
) -> None:
    at(world, 14)
    api = Api()
    outcome = deliver(world, api, hours=hours)
    assert outcome == (Done("SENT") if sent else Done(STALE))
    assert bool(api.sent) == sent


def test_what_an_outage_put_off_waits_for_the_morning(world: World) -> None:
    at(world, 23)
    api = Api()
    outcome = deliver(world, api, hours=2)
    assert isinstance(outcome, Later)
    assert outcome.at.astimezone(CAMPUS_ZONE).hour == 8
    assert deliver(world, api) == Done("SENT"), "somebody who pays at night is told at night"


def test_after_two_days_the_template_goes_instead(world: World) -> None:
    """Only WeChat knows how long ago the recipient wrote: the customer message is tried first."""
    at(world, 14)
    api = Api(text=45015)
    assert deliver(world, api, hours=30, templates=True) == Done("SENT_BY_TEMPLATE")
    assert api.sent == ["template"]
