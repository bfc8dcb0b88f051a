"""One worker process: outbox and periodic jobs side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.worker import Worker
from models.db.engine import Database
from models.schedule import Periodic
from models.values import request_id
from payments import outbox
from payments.outcome import Done, Outcome
from payments.periodic import Job, every
from payments.services import Services
from tests.builders import World

PATIENCE_S = 20.0


@pytest.fixture
def world(any_database: Database) -> World:
    return World(any_database)


def put(world: World, key: str) -> None:
    with world.database.transaction() as session:
        outbox.put(session, "probe", key, {}, now=world.clock.now)


def due(world: World, name: str) -> None:
    with world.database.transaction() as session:
        session.add(Periodic(name=name, next_at=world.clock.now))


class Running:
    """A worker at work in a thread; `work` is done for each item of the outbox."""

    def __init__(self, world: World, work: Callable[[], None], job: Callable[[], None]) -> None:
        def deliver(_services: Services, _item: outbox.Claim) -> Outcome:
            work()
            return Done()

        self._stopped = threading.Event()
        worker = Worker(
            world.services,
            {"probe": deliver},
            wait=self._stopped.wait,
            periodic={"job": Job(lambda _services: job(), every(3600))},
        )
        self._thread = threading.Thread(target=worker.run, args=(self._stopped,), daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Returns: whether it came to its end."""
        self._stopped.set()
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()


def test_a_long_periodic_job_keeps_no_payment_waiting(world: World) -> None:
    begun, may_end, delivered = threading.Event(), threading.Event(), threading.Event()

    def long_job() -> None:
        begun.set()
        may_end.wait(PATIENCE_S)

    due(world, "job")
    running = Running(world, delivered.set, long_job)
    try:
        assert begun.wait(PATIENCE_S)
        put(world, "1")
        assert delivered.wait(PATIENCE_S / 2)
    finally:
        may_end.set()
        assert running.stop()


def test_stopping_waits_for_the_job_in_hand(world: World) -> None:
    begun, ended = threading.Event(), threading.Event()
    may_end = threading.Event()

    def job() -> None:
        begun.set()
        may_end.wait(PATIENCE_S)
        ended.set()

    due(world, "job")
    running = Running(world, lambda: None, job)
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.1, may_end.set).start()
    assert running.stop()
    assert ended.is_set()


def test_a_round_that_fails_is_not_the_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered, failed = threading.Event(), threading.Event()
    claim = outbox.claim

    def once_broken(*args: object, **kwargs: object) -> list[outbox.Claim]:
        if not failed.is_set():
            failed.set()
            raise OSError("the database is away")
        return claim(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "claim", once_broken)
    put(world, "1")
    running = Running(world, delivered.set, lambda: None)
    try:
        assert delivered.wait(PATIENCE_S)
        assert failed.is_set()
    finally:
        assert running.stop()


@pytest.mark.parametrize(
    ("hanging", "wanted"), [("message", "credit"), ("settle", "credit"), ("credit", "settle")]
)
def test_a_hanging_system_keeps_no_work_of_another_one_waiting(
    world: World, hanging: str, wanted: str
) -> None:
    """A message API that answered nothing kept a credit waiting for 1,510 s behind 302 messages."""
    stuck, done, may_end, stopped = (threading.Event() for _ in range(4))

    def hang(_services: Services, _item: outbox.Claim) -> Outcome:
        stuck.set()
        may_end.wait(PATIENCE_S)
        return Done()

    def deliver(_services: Services, _item: outbox.Claim) -> Outcome:
        done.set()
        return Done()

    def enqueue(kind: str, count: int) -> None:
        with world.database.transaction() as session:
            for number in range(count):
                outbox.put(session, kind, str(number), {}, now=world.clock.now)

    enqueue(hanging, 300)
    worker = Worker(world.services, {hanging: hang, wanted: deliver}, wait=stopped.wait)
    thread = threading.Thread(target=worker.run, args=(stopped,), daemon=True)
    thread.start()
    try:
        assert stuck.wait(PATIENCE_S)
        enqueue(wanted, 1)
        assert done.wait(PATIENCE_S / 2)
    finally:
        stopped.set()
        may_end.set()
        thread.join(PATIENCE_S)


def test_in_one_thread_money_is_done_before_messages(world: World) -> None:
    order: list[str] = []

    def deliver(_services: Services, item: outbox.Claim) -> Outcome:
        order.append(item.kind)
        return Done()

    with world.database.transaction() as session:
        for kind in ("message", "settle", "credit"):
            for number in range(9):
                outbox.put(session, kind, str(number), {}, now=world.clock.now)
    worker = Worker(
        world.services, dict.fromkeys(("message", "settle", "credit"), deliver), wait=lambda _: None
    )
    worker.run_once()
    assert order == ["credit"] * 4 + ["settle"] * 4 + ["message"] * 4


def test_an_item_is_dealt_with_under_the_id_of_its_request(world: World) -> None:
    seen: dict[str, str | None] = {}

    def deliver(_services: Services, item: outbox.Claim) -> Outcome:
        seen[item.key] = request_id.current()
        with world.database.transaction() as session:
            outbox.put(session, "follow-up", item.key, {}, now=world.clock.now)
        return Done()

    with world.database.transaction() as session:
        outbox.put(session, "probe", "with", {}, now=world.clock.now, caused_by="a" * 32)
        outbox.put(session, "probe", "without", {}, now=world.clock.now)
    worker = Worker(world.services, {"probe": deliver}, wait=lambda _seconds: None)
    with request_id.bound("b" * 32):
        assert worker.run_once() == 2
        assert request_id.current() == "b" * 32
    assert seen == {"with": "a" * 32, "without": None}
    assert {held.key: held.request_id for held in world.claim("follow-up")} == seen
