"""Events about following arrive again and out of order: the time that WeChat wrote decides."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.context import Answer, Push, Silence
from identity import login_sessions
from models.people.login_session import SubjectKind
from models.person import Person, bound_account, find_person
from tests.handlers.handler_chat import ME, MY_ACCOUNT, NOON, Chat


def arrives(chat: Chat, name: str, seconds: float, key: str = "", *, openid: str = ME) -> Answer:
    """An event of so many seconds after noon arrives now."""
    at = NOON + timedelta(seconds=seconds)
    return chat.push(Push(name, openid, key=key, fields={"MsgType": "event"}, sent_at=at))


def person_of(chat: Chat, openid: str = ME) -> Person:
    with chat.services.reading() as session:
        person = find_person(session, openid)
        assert person is not None
        return person


def account_of(chat: Chat) -> str | None:
    with chat.services.reading() as session:
        return bound_account(session, ME)


def log_in(chat: Chat) -> None:
    with chat.services.transaction() as session:
        browser = login_sessions.Browser("phone", "10.0.0.1")
        login_sessions.start(session, SubjectKind.WECHAT, ME, browser=browser, now=chat.clock.now)


def logins_of(chat: Chat) -> int:
    with chat.services.reading() as session:
        kind = SubjectKind.WECHAT
        return len(login_sessions.listed(session, kind, ME, now=chat.clock.now, current=""))


def test_an_unsubscribe_older_than_the_last_subscribe_changes_nothing(bound: Chat) -> None:
    bound.clock.forward(seconds=30)
    arrives(bound, "subscribe", 2, "qrscene_dorm-7")
    arrives(bound, "subscribe", 20)
    before = person_of(bound)
    log_in(bound)
    assert arrives(bound, "unsubscribe", 14) == Silence()
    after = person_of(bound)
    assert (after.unfollowed_at, after.scene) == (None, "dorm-7")
    assert (after.followed_at, after.follow_event_at) == (before.followed_at, before.follow_event_at)
    assert (account_of(bound), logins_of(bound)) == (MY_ACCOUNT, 1)
    arrives(bound, "unsubscribe", 25)
    assert (account_of(bound), logins_of(bound)) == (None, 0)


def test_a_scan_is_a_sign_of_following_too(bound: Chat) -> None:
    bound.clock.forward(seconds=30)
    arrives(bound, "scan", 20, "library")
    arrives(bound, "unsubscribe", 14)
    assert (person_of(bound).unfollowed_at, account_of(bound)) == (None, MY_ACCOUNT)


@pytest.mark.parametrize("name", ["subscribe", "scan"])
def test_a_subscribe_older_than_the_last_unsubscribe_changes_nothing(bound: Chat, name: str) -> None:
    bound.clock.forward(seconds=30)
    arrives(bound, "unsubscribe", 20)
    arrives(bound, name, 14, "qrscene_dorm-7")
    person = person_of(bound)
    assert person.unfollowed_at == bound.clock.now
    assert person.scene is None


def test_of_two_events_in_one_second_the_one_that_arrives_last_counts(bound: Chat) -> None:
    bound.clock.forward(seconds=30)
    arrives(bound, "subscribe", 5)
    arrives(bound, "unsubscribe", 5)
    assert (person_of(bound).unfollowed_at, account_of(bound)) == (bound.clock.now, None)
    arrives(bound, "subscribe", 5)
    assert person_of(bound).unfollowed_at is None


@pytest.mark.parametrize("sent_at", [None, NOON + timedelta(days=4000)])
def test_a_time_that_is_none_is_the_time_of_arrival(bound: Chat, sent_at: datetime | None) -> None:
    def nonsense(name: str) -> None:
        bound.push(Push(name, ME, fields={"MsgType": "event"}, sent_at=sent_at))

    nonsense("subscribe")
    bound.clock.forward(seconds=30)
    arrives(bound, "unsubscribe", 20)
    assert account_of(bound) is None
    nonsense("subscribe")
    assert person_of(bound).unfollowed_at is None
    bound.clock.forward(seconds=1)
    nonsense("unsubscribe")
    assert person_of(bound).unfollowed_at == bound.clock.now


def test_a_clock_of_ours_that_is_slow_changes_no_order(bound: Chat) -> None:
    arrives(bound, "subscribe", 20)
    arrives(bound, "unsubscribe", 14)
    assert person_of(bound).unfollowed_at is None
    arrives(bound, "unsubscribe", 21)
    assert person_of(bound).unfollowed_at is not None


def test_the_first_event_counts_whenever_it_happened(bound: Chat) -> None:
    arrives(bound, "unsubscribe", -3600)
    assert (person_of(bound).unfollowed_at, account_of(bound)) == (bound.clock.now, None)


_openids = itertools.count()


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.integers(-100, 0)),
        min_size=1,
        max_size=8,
        unique_by=lambda event: event[1],
    ),
    data=st.data(),
)
def test_events_in_any_order_leave_what_the_last_one_says(
    chat: Chat, events: list[tuple[str, int]], data: st.DataObject
) -> None:
    openid = f"oOrder_{next(_openids)}"
    # Known before, so that a first unsubscribe has something to say.
    arrives(chat, "subscribe", -1000, openid=openid)
    for name, seconds in data.draw(st.permutations([*events, *events[:2]])):
        arrives(chat, name, seconds, openid=openid)
    last = max(events, key=lambda event: event[1])[0]
    assert (person_of(chat, openid).unfollowed_at is None) == (last == "subscribe")
