"""Every push is handled once and answered every time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from redis import Redis

from bot.callback import LATE
from bot.context import Answer, Article, Silence, Text
from bot.envelope import CallbackConfig
from bot.redis_gate import connect, text_of
from bot.routes import click, event, otherwise, words
from tests.bot.bot_pushes import NOW, OPENID, Ctx, event_xml, make_phone, quiet, signed, text_xml
from tests.bot.bot_servers import RedisServer


class Counter:
    """A handler that counts, and waits where a test says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self._lock = threading.Lock()

    def __call__(self, ctx: Ctx) -> Answer:
        del ctx
        with self._lock:
            self.calls += 1
            number = self.calls
        self.started.set()
        self.go_on.wait(20)
        return Text(f"第{number}次")


def test_the_same_push_gets_the_first_answer_again(redis: Redis) -> None:
    counter = Counter()
    phone = make_phone(redis, otherwise(counter))
    push = text_xml("余额")
    assert [phone.send(push) for _ in range(3)] == [(200, "第1次")] * 3
    assert phone.say("余额") == "第2次"


def test_another_process_gives_the_first_answer_again(redis: Redis, shared_server: RedisServer) -> None:
    counter = Counter()
    push = text_xml("余额")
    other = connect(shared_server.url)
    assert make_phone(redis, otherwise(counter)).send(push) == (200, "第1次")
    assert make_phone(other, otherwise(counter)).send(push) == (200, "第1次")
    other.close()


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_twenty_deliveries_at_once_are_one(redis: Redis, no_redis: Redis, *, away: bool) -> None:
    counter = Counter()
    phone = make_phone(no_redis if away else redis, otherwise(counter))
    for _ in range(5):
        push = text_xml("余额")
        before = counter.calls
        with ThreadPoolExecutor(20) as threads:
            answers = set(threads.map(lambda _, push=push: phone.send(push), range(20)))
        assert answers == {(200, f"第{before + 1}次")}
        assert counter.calls == before + 1


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_a_repetition_waits_for_the_first_and_gets_its_answer(
    redis: Redis, no_redis: Redis, *, away: bool
) -> None:
    counter = Counter()
    counter.go_on.clear()
    phone = make_phone(no_redis if away else redis, otherwise(counter))
    push = text_xml("余额")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(phone.send, push)
        assert counter.started.wait(10)
        second = threads.submit(phone.send, push)
        counter.go_on.set()
        assert first.result(10) == second.result(10) == (200, "第1次")
    assert counter.calls == 1


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_a_late_answer_is_announced_and_follows(redis: Redis, no_redis: Redis, *, away: bool) -> None:
    counter = Counter()
    counter.go_on.clear()
    phone = make_phone(no_redis if away else redis, otherwise(counter), deadline_s=1.0)
    push = text_xml("余额")
    assert phone.send(push) == (200, LATE)
    assert phone.send(push) == (200, LATE)
    assert phone.told == []
    counter.go_on.set()
    phone.callback.close()
    assert phone.told == [(OPENID, "第1次")]
    assert phone.send(push) == (200, LATE)


def test_a_late_card_follows_as_text_and_late_silence_stays_silent(redis: Redis) -> None:
    gate = threading.Event()

    def late(answer: Answer) -> Answer:
        gate.wait(20)
        return answer

    phone = make_phone(
        redis,
        words(lambda _: late(Article("标题", "说明", "https://x.test/")), "卡"),
        event(lambda _: late(Silence()), "unsubscribe"),
        deadline_s=0.6,
    )
    assert phone.say("卡") == LATE
    assert phone.send(event_xml("unsubscribe")) == (200, LATE)
    gate.set()
    phone.callback.close()
    assert phone.told == [(OPENID, '标题\n说明\n<a href="https://x.test/">点这里查看</a>')]


def test_a_repetition_gives_up_quietly_when_the_first_never_ends(redis: Redis) -> None:
    phone = make_phone(redis, deadline_s=0.5)
    push = text_xml("余额", msg_id=77)
    redis.set(f"campusnet:push:{{{OPENID}}}:77", "Psomebody-who-died")
    assert phone.send(push) == (200, "success")


def test_events_differ_by_key_and_second(redis: Redis) -> None:
    counter = Counter()
    phone = make_phone(redis, click(counter, "BALANCE", "USAGE"))
    at_s = int(NOW.timestamp())
    assert phone.send(event_xml("CLICK", "BALANCE", at_s=at_s)) == (200, "第1次")
    assert phone.send(event_xml("CLICK", "BALANCE", at_s=at_s)) == (200, "第1次")
    assert phone.send(event_xml("CLICK", "USAGE", at_s=at_s)) == (200, "第2次")
    assert phone.send(event_xml("CLICK", "BALANCE", at_s=at_s + 1)) == (200, "第3次")
    assert phone.send(event_xml("CLICK", "BALANCE", at_s=at_s, openid="oOther")) == (200, "第4次")


def test_results_of_two_messages_in_one_second_are_two(redis: Redis) -> None:
    counter = Counter()
    phone = make_phone(redis, event(counter, "masssendjobfinish"))
    for number in ("1", "2"):
        phone.send(event_xml("MASSSENDJOBFINISH", MsgID=number, Status="send success"))
    assert counter.calls == 2


def test_a_repetition_is_encrypted_anew(redis: Redis) -> None:
    phone = make_phone(redis)
    push = text_xml("余额")
    first_query, first_body = signed(push)
    second_query, second_body = signed(push, at=NOW + timedelta(seconds=5))
    first = phone.callback.handle(first_query, first_body)
    second = phone.callback.handle(second_query, second_body)
    assert first[0] == second[0] == 200
    assert first[1] != second[1]


def test_the_reply_outlives_the_time_in_which_its_push_is_acceptable(redis: Redis) -> None:
    phone = make_phone(redis)
    phone.send(text_xml("余额", msg_id=78))
    key = f"campusnet:push:{{{OPENID}}}:78"
    # A stamp may be 300 s ahead, and is good for 300 s after that.
    assert 2 * CallbackConfig.window_s < redis.ttl(key) <= 700
    assert "听到:余额" in (text_of(redis.get(key)) or "")


def test_without_redis_everything_is_answered_once(no_redis: Redis) -> None:
    counter = Counter()
    phone = make_phone(no_redis, otherwise(counter), event(quiet, "view"))
    push = text_xml("余额")
    assert [phone.send(push) for _ in range(3)] == [(200, "第1次")] * 3
    assert phone.send(event_xml("VIEW")) == (200, "success")


def test_redis_killed_while_a_handler_runs_loses_no_answer(own_server: RedisServer) -> None:
    counter = Counter()
    counter.go_on.clear()
    client = connect(own_server.url)
    phone = make_phone(client, otherwise(counter))
    push = text_xml("余额")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(phone.send, push)
        assert counter.started.wait(10)
        own_server.stop()
        counter.go_on.set()
        assert first.result(10) == (200, "第1次")
    assert phone.send(push) == (200, "第1次")
    assert phone.say("余额") == "第2次"
    own_server.start()
    assert phone.send(push) == (200, "第1次")
    client.close()


def test_redis_comes_back_into_use(own_server: RedisServer) -> None:
    client = connect(own_server.url)
    phone = make_phone(client)
    assert phone.say("一") == "听到:一"
    own_server.stop()
    assert phone.say("二") == "听到:二"
    own_server.start()
    phone.callback._store._gate._open_until_s = 0.0  # as after the breaker's second
    assert phone.say("三", msg_id=79) == "听到:三"
    assert client.exists(f"campusnet:push:{{{OPENID}}}:79")
    client.close()
