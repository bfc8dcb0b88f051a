"""Chat state: kept ten minutes, changed by one message at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from redis import Redis

from bot.context import Answer, ChatState, Text
from bot.redis_gate import text_of
from bot.replies import _BEGIN, Crossed, ReplyStore
from bot.routes import otherwise, state, words
from bot.session import KEEP_S, Change, change_of, read_state
from tests.bot.bot_pushes import NOW, OPENID, Ctx, make_phone

CHAT = f"campusnet:chat:{{{OPENID}}}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def begin(ctx: Ctx) -> Answer:
    ctx.state.enter("amount", {"for": "小明"})
    return Text("多少?")


def amount(ctx: Ctx) -> Answer:
    who = ctx.state.data["for"]
    ctx.state.leave()
    return Text(f"{who}:{ctx.push.text}")


def lost(ctx: Ctx) -> Answer:
    return Text("过期了" if ctx.state.expired else "没听懂")


ROUTES = (words(begin, "充值"), state(amount, "amount"), otherwise(lost))


def test_a_state_leads_to_its_handler_until_it_is_left(redis: Redis) -> None:
    phone = make_phone(redis, *ROUTES)
    assert [phone.say(word) for word in ("5", "充值", "5", "5")] == ["没听懂", "多少?", "小明:5", "没听懂"]
    assert redis.get(CHAT) is None


def test_words_win_over_a_state(redis: Redis) -> None:
    phone = make_phone(redis, *ROUTES)
    assert [phone.say("充值"), phone.say("充值"), phone.say("5")] == ["多少?", "多少?", "小明:5"]


def test_states_of_two_people_do_not_mix(redis: Redis) -> None:
    phone = make_phone(redis, *ROUTES)
    phone.say("充值")
    assert phone.say("5", openid="oOther") == "没听懂"


def test_an_expired_state_is_known_for_a_while_and_then_forgotten(redis: Redis) -> None:
    clock = Clock()
    phone = make_phone(redis, *ROUTES, clock=clock, window_s=10_000)
    phone.say("充值")
    ttl_s = redis.ttl(CHAT)
    assert KEEP_S - 5 <= ttl_s <= KEEP_S
    clock.now = NOW + timedelta(seconds=599)
    assert phone.say("余额") == "小明:余额"
    phone.say("充值")
    clock.now += timedelta(seconds=600)
    assert [phone.say("5"), phone.say("5")] == ["过期了", "过期了"]
    redis.delete(CHAT)  # as Redis does after twenty minutes
    assert phone.say("5") == "没听懂"


def test_a_state_that_was_left_does_not_count_as_expired() -> None:
    left = ChatState(name="amount")
    left.leave()
    assert change_of(left, "x", 0.0) is not None
    assert not read_state("", 0.0).expired


def test_two_writes_of_the_same_state_differ() -> None:
    first, second = ChatState(), ChatState()
    first.enter("amount")
    second.enter("amount")
    one = change_of(first, "", 0.0)
    assert one is not None
    two = change_of(second, one.new, 0.0)
    assert two is not None
    assert two.new != one.new


def test_what_another_version_wrote_is_an_empty_conversation() -> None:
    for stored in ("{", "[]", "3", '{"until_s": "x"}', '{"until_s": 99, "name": "a"}'):
        state_read = read_state(stored, 0.0)
        assert (state_read.name, state_read.expired) == ("", False)


def test_messages_that_cross_are_handled_one_on_the_state_of_the_other(redis: Redis) -> None:
    arrived = threading.Barrier(2)
    tries: list[str] = []

    def count(ctx: Ctx) -> Answer:
        number = int(ctx.state.data.get("n", "0")) + 1
        tries.append(ctx.push.text)
        if len(tries) <= 2:
            arrived.wait(10)
        ctx.state.enter("counting", {"n": str(number)})
        return Text(str(number))

    phone = make_phone(redis, otherwise(count), state(count, "counting"))
    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(phone.say, ["a", "b"]))
    assert answers == ["1", "2"]
    assert len(tries) == 3


def test_fifty_crossing_messages_lose_no_change(redis: Redis) -> None:
    def count(ctx: Ctx) -> Answer:
        number = int(ctx.state.data.get("n", "0")) + 1
        ctx.state.enter("counting", {"n": str(number)})
        return Text(str(number))

    phone = make_phone(redis, otherwise(count), state(count, "counting"))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(phone.say, [str(n) for n in range(50)]))
    numbers = sorted(int(answer) for answer in answers if answer.isdecimal())
    assert numbers == list(range(1, len(numbers) + 1))
    assert all("再发一次" in answer for answer in answers if not answer.isdecimal())
    assert read_state(text_of(redis.get(CHAT)) or "", NOW.timestamp()).data["n"] == str(len(numbers))


def test_a_command_sent_twice_is_not_taken_for_somebody_elses(redis: Redis) -> None:
    store = ReplyStore(redis)
    claim = store.begin("push", OPENID)
    for change in (Change("", "first"), Change("first", "")):
        assert store.finish(claim, OPENID, f"reply to {change.new}", change) is None
        assert store.finish(claim, OPENID, f"reply to {change.new}", change) is None
    assert store.finish(claim, OPENID, "another reply", Change("first", "")) == Crossed("")
    keys, token = ["campusnet:push:other", CHAT], "P1"
    assert [store._gate.run(_BEGIN, keys, token, 60)[0] for _ in range(2)] == [1, 1]
    assert store._gate.run(_BEGIN, keys, "P2", 60)[0] == 0


def test_without_redis_every_message_starts_anew(no_redis: Redis) -> None:
    phone = make_phone(no_redis, *ROUTES)
    assert [phone.say("充值"), phone.say("5")] == ["多少?", "没听懂"]
