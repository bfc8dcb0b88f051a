"""Slow others take few threads, and none while they do not answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.errors import Malformed, Refused, Unavailable, Unknown
from models.values.outbound_gate import OutboundGate


class Seconds:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def fail(gate: OutboundGate, error: Exception, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)), gate.call():
            raise error


def test_more_callers_than_slots_are_refused_at_once() -> None:
    gate, entered, free = OutboundGate("cas", slots=2), threading.Semaphore(0), threading.Event()

    def call(_: int) -> bool:
        try:
            with gate.call():
                entered.release()
                free.wait(10)
        except Unavailable:
            return False
        return True

    with ThreadPoolExecutor(24) as pool:
        slow = [pool.submit(call, 0) for _ in range(2)]
        for _ in slow:
            assert entered.acquire(timeout=10)
        assert not any(pool.map(call, range(20)))
        free.set()
        assert all(done.result() for done in slow)
    with gate.call():
        pass


@pytest.mark.parametrize("error", [Unavailable("x"), Unknown("x")])
def test_no_answers_in_a_row_pause_every_call_until_a_probe_succeeds(error: Exception) -> None:
    clock = Seconds()
    gate = OutboundGate("cas", failures=3, pause_s=10, monotonic=clock)
    fail(gate, error, 3)
    with pytest.raises(Unavailable, match="paused"), gate.call():
        pytest.fail("a call went out while the breaker was open")
    clock.now_s = 10
    fail(gate, error)
    with pytest.raises(Unavailable, match="paused"), gate.call():
        pytest.fail("a failed probe closed the breaker")
    clock.now_s = 20
    with gate.call(), pytest.raises(Unavailable, match="too many"), gate.call():
        pytest.fail("two probes at once")
    with gate.call(), gate.call():
        pass


@pytest.mark.parametrize("error", [Refused("x"), Malformed("x"), ValueError("x")])
def test_an_answer_that_refuses_is_an_answer(error: Exception) -> None:
    gate = OutboundGate("cas", failures=2)
    fail(gate, error, 5)
    with gate.call():
        pass


def test_slow_answers_open_the_breaker_too() -> None:
    clock = Seconds()
    gate = OutboundGate("cas", failures=2, slow_s=3, monotonic=clock)
    for _ in range(2):
        with gate.call():
            clock.now_s += 4
    with pytest.raises(Unavailable), gate.call():
        pytest.fail("slow answers were taken for good ones")
