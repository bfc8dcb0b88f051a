from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from bot.limits import NAME_LOOKUPS, RateLimiter
from bot.redis_gate import RedisDown, RedisGate, Script, connect
from models.errors import LimitReached
from tests.bot.bot_servers import RedisServer


class Seconds:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_the_sixth_of_five_is_refused(redis: Redis, no_redis: Redis, *, away: bool) -> None:
    limiter = RateLimiter(no_redis if away else redis)
    for _ in range(5):
        limiter.hit("find:oA", limit=5, window_s=60)
    limiter.hit("find:oB", limit=5, window_s=60)
    for _ in range(2):
        with pytest.raises(LimitReached):
            limiter.hit("find:oA", limit=5, window_s=60)


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_exactly_as_many_pass_as_may_when_all_come_at_once(
    redis: Redis, no_redis: Redis, *, away: bool
) -> None:
    limiter = RateLimiter(no_redis if away else redis)

    def passes(_: int) -> bool:
        try:
            limiter.hit("x", limit=7, window_s=60)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(passes, range(40))) == 7


def test_the_window_starts_with_the_first_and_ends(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    limiter.hit("x", limit=1, window_s=60)
    assert 58 <= redis.ttl("campusnet:limit:x") <= 60


def test_a_local_window_ends(no_redis: Redis) -> None:
    seconds = Seconds()
    limiter = RateLimiter(no_redis, seconds)
    limiter.hit("x", limit=1, window_s=60)
    seconds.now_s += 59
    with pytest.raises(LimitReached):
        limiter.hit("x", limit=1, window_s=60)
    seconds.now_s += 1
    limiter.hit("x", limit=1, window_s=60)


def test_the_breaker_spares_everybody_the_time_out(own_server: RedisServer) -> None:
    seconds = Seconds()
    client = connect(own_server.url)
    gate = RedisGate(client, seconds)
    script = Script("return 7")
    assert gate.run(script, []) == 7
    own_server.stop()
    with pytest.raises(RedisDown, match="ConnectionError"):
        gate.run(script, [])
    own_server.start()
    with pytest.raises(RedisDown, match="breaker"):
        gate.run(script, [])
    seconds.now_s += 1
    assert gate.run(script, []) == 7
    client.close()


def test_a_restarted_server_is_not_noticed(own_server: RedisServer) -> None:
    client = connect(own_server.url)
    gate = RedisGate(client)
    assert gate.ask("SET", "a", "1") == b"OK"
    own_server.stop()
    own_server.start()
    assert gate.ask("GET", "a") is None
    assert gate.run(Script("return ARGV[1]"), [], "x") == b"x"
    client.close()


def test_answers_of_many_threads_are_not_mixed_up(redis: Redis) -> None:
    gate = RedisGate(redis)
    script = Script("return ARGV[1]")
    numbers = [str(number) for number in range(2000)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: gate.run(script, [], number), numbers))
    assert [answer.decode() for answer in answers] == numbers


def test_a_forked_process_opens_connections_of_its_own(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = RedisGate(redis)
    gate.ask("PING")
    (inherited,) = gate._idle
    monkeypatch.setattr("bot.redis_gate.os.getpid", lambda: 1)
    gate.ask("PING")
    assert inherited not in gate._idle


def test_chat_and_pages_share_one_budget_of_names(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    for _ in range(NAME_LOOKUPS[0].limit):
        limiter.hit_all(NAME_LOOKUPS, "o1")
    with pytest.raises(LimitReached):
        limiter.hit_all(NAME_LOOKUPS, "o1")
    limiter.hit_all(NAME_LOOKUPS, "o2")
