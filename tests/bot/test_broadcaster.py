"""A notice reaches everybody once, whatever is killed, lost or refused on the way."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audience import batches, distinct, read_openids
from bot.broadcast import Broadcaster, Progress, Quota, record_result
from bot.broadcast_steps import NoSuchBroadcast
from bot.errors import QuotaExhausted
from models.db.engine import Database
from models.errors import Malformed, Refused, Unavailable, Unknown
from models.notice import BroadcastStatus, latest_notices
from tests.bot.bot_fake_api import FakeApi
from tests.bot.broadcast_platform import SEND, SEND_ALL, Clock, Platform, people, plan

GET = "/cgi-bin/message/mass/get"


@given(st.integers(2, 60), st.integers(2, 9))
def test_batches_hold_everybody_once_and_nobody_alone(count: int, size: int) -> None:
    if size == 2 and count % 2:
        return
    made = list(batches(people(count), size))
    assert [openid for group in made for openid in group] == list(people(count))
    assert all(2 <= len(group) <= size for group in made)


def test_a_rest_of_one_borrows_a_neighbour() -> None:
    assert [len(group) for group in batches(people(20_001))] == [10_000, 9_999, 2]
    for few in (0, 1):
        with pytest.raises(Refused):
            list(batches(people(few)))


def test_nobody_is_listed_twice() -> None:
    assert list(distinct(["oB", "oA", "oB", "oC", "oA"])) == ["oB", "oA", "oC"]


def test_a_list_is_read_line_by_line_and_its_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# first year\noA\n\n oB \r\n", encoding="utf-8")
    assert list(read_openids(path)) == ["oA", "oB"]
    path.write_text("oA\no B\n", encoding="utf-8")
    with pytest.raises(Malformed, match="line 2"):
        list(read_openids(path))


def test_a_notice_is_shown_and_broadcast_to_a_list(
    caster: Broadcaster, platform: Platform, api: FakeApi, database: Database, clock: Clock
) -> None:
    notice_id = caster.write_notice("停网通知", "今晚 23 点起停网维护")
    with database.reading() as session:
        assert [notice.title for notice in latest_notices(session, clock.now)] == ["停网通知"]
    planned = plan(caster, "night", notice_id, "list", openids=people(25_000))
    assert (planned.recipients, planned.total, planned.status) == (25_000, 3, BroadcastStatus.PLANNED)
    seen: list[Progress] = []
    done = caster.send("night", seen.append)
    assert [step.submitted for step in seen] == [1, 2, 3]
    assert (done.submitted, done.status) == (3, BroadcastStatus.SENDING)
    assert platform.received == Counter(people(25_000))
    body = api.calls_of(SEND)[0][2]
    assert body["text"]["content"] == "停网通知\n\n今晚 23 点起停网维护"
    assert len(body["clientmsgid"]) == 32


def test_planning_again_changes_nothing(caster: Broadcaster, platform: Platform) -> None:
    notice_id = caster.write_notice("a", "b")
    plan(caster, "k", notice_id, "list", openids=people(5))
    assert plan(caster, "k", notice_id, "list", openids=reversed(list(people(5)))).recipients == 5
    caster.send("k")
    assert plan(caster, "k", notice_id, "list", openids=people(5)).submitted == 1
    caster.send("k")
    assert platform.received == Counter(people(5))


def test_a_plan_that_fails_leaves_nothing(caster: Broadcaster) -> None:
    notice_id = caster.write_notice("a", "b")
    with pytest.raises(Refused):
        plan(caster, "k", notice_id, "list", openids=["oA", "oA"])
    with pytest.raises(NoSuchBroadcast):
        caster.progress("k")
    with pytest.raises(Refused):
        plan(caster, "k", notice_id, "tag")


def test_everybody_and_a_tag_are_one_call(caster: Broadcaster, platform: Platform, api: FakeApi) -> None:
    notice_id = caster.write_notice("a", "b")
    plan(caster, "all", notice_id, "all")
    plan(caster, "tag", notice_id, "tag", tag_id=101)
    caster.send("all")
    caster.send("tag")
    filters = [body["filter"] for _, _, body in api.calls_of(SEND_ALL)]
    assert filters == [{"is_to_all": True}, {"is_to_all": False, "tag_id": 101}]
    assert len(platform.by_client) == 2


class Killed(BaseException):
    """As SIGKILL: nothing after it runs."""


@pytest.mark.parametrize("after", ["before the call", "after the call", "between batches"])
def test_a_killed_sending_goes_on_and_repeats_nothing(
    caster: Broadcaster, platform: Platform, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    notice_id = caster.write_notice("a", "b")
    plan(caster, "k", notice_id, "list", openids=people(25_000))

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if after == "before the call":
            patch.setattr(caster._client, "post", die)
        elif after == "after the call":
            patch.setattr(caster, "_mark_submitted", die)
        with pytest.raises(Killed):
            caster.send("k", die)
    caster.send("k")
    assert platform.received == Counter(people(25_000))
    assert len(platform.by_client) == 3


def test_a_lost_answer_is_asked_for_again_after_a_minute(
    caster: Broadcaster, platform: Platform, clock: Clock
) -> None:
    platform.lose_answers = 1
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    assert caster.send("k").submitted == 1
    assert clock.slept_s == [61]
    assert platform.received == Counter(people(5))


def test_what_stays_unknown_is_left_for_another_day_but_not_for_two(
    caster: Broadcaster, platform: Platform, api: FakeApi, clock: Clock
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    api.on(SEND, 500)
    with pytest.raises(Unknown):
        caster.send("k")
    api.on(SEND, platform.send)
    clock.now += timedelta(hours=24)
    done = caster.send("k")
    assert (done.failed, done.status) == (1, BroadcastStatus.FAILED)
    assert not platform.received


def test_a_refusal_after_an_unknown_keeps_the_doubt(
    caster: Broadcaster, platform: Platform, api: FakeApi, clock: Clock
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    answers: list[Any] = [500, {"errcode": 45028, "errmsg": "has no masssend quota"}]
    api.on(SEND, lambda _query, _body: answers.pop(0))
    with pytest.raises(QuotaExhausted):
        caster.send("k")
    api.on(SEND, platform.send)
    clock.now += timedelta(hours=24)
    assert caster.send("k").failed == 1


@pytest.mark.parametrize("reason", ["quota", "absent"])
def test_what_certainly_was_not_sent_is_sent_any_time_later(
    caster: Broadcaster,
    platform: Platform,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    with monkeypatch.context() as patch:
        if reason == "quota":
            patch.setattr(platform, "refuse", {"errcode": 45028, "errmsg": "has no masssend quota"})
        else:

            def absent(*_: object) -> None:
                raise Unavailable("refused")

            patch.setattr(caster._client, "post", absent)
        with pytest.raises((QuotaExhausted, Unavailable)):
            caster.send("k")
    clock.now += timedelta(days=3)
    assert caster.send("k").submitted == 1
    assert platform.received == Counter(people(5))


def test_a_batch_with_a_bad_openid_does_not_stop_the_others(
    caster: Broadcaster, platform: Platform, api: FakeApi
) -> None:
    bad = {"errcode": 40031, "errmsg": "invalid openid list"}
    api.on(SEND, lambda q, b: bad if "oStudent-0000001" in b["touser"] else platform.send(q, b))
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(20_000))
    done = caster.send("k")
    assert (done.failed, done.submitted) == (1, 1)


def _event(msg_id: int, status: str = "send success") -> dict[str, str]:
    counts = {"TotalCount": "5", "FilterCount": "5", "SentCount": "4", "ErrorCount": "1"}
    return {"MsgID": str(msg_id), "Status": status, **counts}


def test_results_come_by_event_once(
    caster: Broadcaster, platform: Platform, database: Database, clock: Clock
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(20_000))
    caster.send("k")
    first, second = platform.by_client.values()
    with database.transaction() as session:
        assert record_result(session, _event(first), clock.now)
        assert not record_result(session, _event(first, "send fail"), clock.now)
        assert not record_result(session, _event(1), clock.now)
        assert not record_result(session, {}, clock.now)
    assert caster.progress("k").status == BroadcastStatus.SENDING
    with database.transaction() as session:
        assert record_result(session, _event(second), clock.now)
    done = caster.progress("k")
    assert (done.sent, done.status) == (2, BroadcastStatus.DONE)


def test_a_failed_batch_fails_the_broadcast(
    caster: Broadcaster, platform: Platform, database: Database, clock: Clock
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    caster.send("k")
    (msg_id,) = platform.by_client.values()
    with database.transaction() as session:
        record_result(session, _event(msg_id, "err(30003)"), clock.now)
    assert caster.progress("k").status == BroadcastStatus.FAILED


def test_results_whose_event_was_lost_are_asked_for(
    caster: Broadcaster, platform: Platform, api: FakeApi
) -> None:
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(5))
    caster.send("k")
    api.on(GET, {"errcode": 40059, "errmsg": "invalid msg id"})
    assert caster.poll("k").submitted == 1
    api.on(GET, lambda _query, body: {"msg_id": body["msg_id"], "msg_status": "SENDING"})
    assert caster.poll("k").submitted == 1
    api.on(GET, lambda _query, body: {"msg_id": body["msg_id"], "msg_status": "SEND_SUCCESS"})
    assert caster.poll("k").status == BroadcastStatus.DONE
    assert api.calls_of(GET)[0][2] == {"msg_id": next(iter(platform.by_client.values()))}


def test_preview_and_quota(caster: Broadcaster, api: FakeApi) -> None:
    api.on("/cgi-bin/message/mass/preview", {"errcode": 0, "errmsg": "ok", "msg_id": 1})
    caster.preview(caster.write_notice("标题", "内容"), "oA")
    assert api.calls_of("/cgi-bin/message/mass/preview")[0][2]["touser"] == "oA"
    api.on(
        "/cgi-bin/openapi/quota/get", {"errcode": 0, "quota": {"daily_limit": 100, "used": 3, "remain": 97}}
    )
    assert caster.quota() == Quota(100, 3, 97)
    assert api.calls_of("/cgi-bin/openapi/quota/get")[0][2] == {"cgi_path": SEND}


@pytest.mark.usefixtures("platform")
def test_more_calls_than_the_platform_takes_in_a_minute_are_spread(
    caster: Broadcaster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.broadcast.CALLS_PER_MINUTE", 2)
    plan(caster, "k", caster.write_notice("a", "b"), "list", openids=people(45_000))
    assert caster.send("k").submitted == 5
    assert clock.slept_s == [61, 61]


@pytest.mark.long
def test_a_long_list_takes_no_more_memory_than_a_batch_or_two(caster: Broadcaster) -> None:
    notice_id = caster.write_notice("a", "b")

    def frozen(key: str, count: int) -> None:
        caster.freeze(caster.draft(key, notice_id, "list", openids=people(count)), people(count))

    frozen("warm", 20_000)
    tracemalloc.start()
    try:
        frozen("k", 30_000)
        _, small_bytes = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        frozen("k2", 90_000)
        _, large_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert large_bytes < small_bytes * 1.3
