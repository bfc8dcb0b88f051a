"""An outside system that is away costs waiting, one alarm and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.worker import ALONE_AFTER, Deliver, Worker
from models.db.engine import Database
from models.errors import ServiceError, Unavailable, Unknown
from models.order import Credit, CreditStatus
from models.outbox import LanePause, OutboxItem, OutboxStatus, Remote
from models.review import ReviewItem, ReviewStatus
from payments import credit, orders, outbox, pauses
from payments.audit.invariants import conservation
from payments.outcome import Done, Outcome, Pause
from payments.services import Services
from tests.builders import NOON, World

MINUTE = 60.0
EIGHT_HOURS = 8 * 60
PAYERS = 40


@pytest.fixture
def either(any_database: Database) -> World:
    return World(any_database)


class Outage:
    """Billing that answers nothing while `error` is set; `calls` counts what it was asked."""

    def __init__(self, world: World, error: ServiceError) -> None:
        self._inner = world.billing
        self.error: ServiceError | None = error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("credit", "find_credit"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.error is not None:
                raise self.error
            return found(*args, **kwargs)

        return call


def pay(world: World, number: int) -> None:
    """One payment of one of many payers."""
    services = replace(world.services, rules=replace(world.services.rules, daily_limit_fen=10**9))
    openid = f"oPayer{number % PAYERS:022d}"
    view = orders.start_recharge(
        services, openid=openid, account_no=f"24001{number % PAYERS:05d}", amount_fen=100 * (1 + number % 500)
    )
    orders.pay_params(services, order_no=view.order_no, openid=openid)
    world.confirm(view, openid=openid)


def drain(worker: Worker, rounds: int = 10_000) -> None:
    """Do what is due now."""
    for _ in range(rounds):
        if not worker.run_once():
            return


def worker_of(world: World, billing: Any) -> Worker:
    services = replace(world.services, billing=billing)
    return Worker(services, {"credit": credit.deliver}, wait=lambda _: None)


def questions(world: World, *, still_open: bool = True) -> Counter[str]:
    query = select(ReviewItem.kind)
    if still_open:
        query = query.where(ReviewItem.status != ReviewStatus.CLOSED)
    with world.database.reading() as session:
        return Counter(str(kind) for kind in session.scalars(query))


def states(world: World) -> tuple[Counter[str], Counter[str]]:
    """States of the credits, and of their items in the outbox."""
    with world.database.reading() as session:
        items = select(OutboxItem.status).where(OutboxItem.kind == "credit")
        return (
            Counter(str(status) for status in session.scalars(select(Credit.status))),
            Counter(str(status) for status in session.scalars(items)),
        )


def eight_hours_without_billing(world: World, error: ServiceError, payments: int, *, step: int) -> None:
    """Pay all the time while billing is away; a round of the workers each `step` minutes."""
    billing = Outage(world, error)
    workers = [worker_of(world, billing) for _ in range(2)]
    paid = 0
    for minute in range(0, EIGHT_HOURS, step):
        while paid * EIGHT_HOURS < payments * (minute + step):
            pay(world, paid)
            paid += 1
        world.clock.forward(minutes=step)
        for worker in workers:
            drain(worker, 20)
    found, items = states(world)
    assert sum(found.values()) == payments
    assert not set(found) & {CreditStatus.CREDITED, CreditStatus.MANUAL, CreditStatus.REJECTED}
    assert items == {OutboxStatus.READY: payments}
    assert questions(world) == {"OUTAGE": 1}
    # Probes, not a call for each credit and minute.
    assert billing.calls < 4 * EIGHT_HOURS
    billing.error = None
    for _ in range(10):
        world.clock.forward(seconds=MINUTE)
        for worker in workers:
            drain(worker)
    assert states(world) == ({CreditStatus.CREDITED: payments}, {OutboxStatus.DONE: payments})
    assert questions(world) == {}
    assert questions(world, still_open=False) == {"OUTAGE": 1}
    with world.database.reading() as session:
        assert session.scalars(select(LanePause)).all() == []
        assert conservation(session).credited_fen == conservation(session).paid_fen


@pytest.mark.parametrize("error", [Unavailable("down"), Unknown("no answer")])
def test_eight_hours_without_billing_end_by_themselves(world: World, error: ServiceError) -> None:
    """Twenty payments of the first night hour used to need two people each."""
    eight_hours_without_billing(world, error, 20, step=5)


@pytest.mark.long
def test_two_thousand_payments_of_eight_hours_are_credited_within_ten_minutes(world: World) -> None:
    eight_hours_without_billing(world, Unavailable("down"), 2_000, step=2)


def test_one_credit_that_fails_alone_pauses_nothing_and_is_asked_about_once(world: World) -> None:
    bad, good = world.paid(500), world.paid(600)

    def deliver(services: Services, held: outbox.Claim) -> Outcome:
        if held.key == bad.order_no and services.clock() < NOON + timedelta(hours=2):
            raise Unavailable("this account is locked")
        return Done() if held.key.startswith("other") else credit.deliver(services, held)

    worker = Worker(world.services, {"credit": deliver}, wait=lambda _: None)
    for minute in range(95):
        with world.database.transaction() as session:
            outbox.put(session, "credit", f"other{minute}", {}, now=world.clock())
        worker.run_once()
        world.clock.forward(seconds=80)
        with world.database.reading() as session:
            assert session.scalars(select(LanePause.probe_at)).all() in ([], [None])
    assert world.credit(good).status == CreditStatus.CREDITED
    assert questions(world, still_open=False) == {"JOB_FAILED": 1}
    assert questions(world) == {}, "it was credited in the end"
    assert world.credit(bad).status == CreditStatus.CREDITED
    item = world.item("credit", bad.order_no)
    assert item is not None
    assert item.attempts >= ALONE_AFTER


def test_a_bug_is_given_up_and_an_outage_before_it_does_not_count(world: World) -> None:
    view = world.paid()
    fault: list[Exception] = [Unavailable("down")]

    def deliver(_services: Services, _held: outbox.Claim) -> Outcome:
        raise fault[0]

    worker = Worker(world.services, {"credit": deliver}, wait=lambda _: None)

    def rounds(count: int) -> OutboxItem:
        for _ in range(count):
            world.clock.forward(seconds=90)
            worker.run_once()
        item = world.item("credit", view.order_no)
        assert item is not None
        return item

    assert rounds(outbox.FAILURES_MAX + 5).status == OutboxStatus.READY
    fault[0] = ZeroDivisionError("a bug of ours")
    assert rounds(outbox.FAILURES_MAX - 1).status == OutboxStatus.READY
    assert rounds(1).status == OutboxStatus.PARKED
    assert questions(world)["JOB_FAILED"] == 1


class Sink:
    """Deliveries of messages: each gets `answer`, an outcome or an error."""

    def __init__(self) -> None:
        self.answer: Outcome | Exception = Done("SENT")
        self.sent: list[str] = []
        self.calls = 0

    def __call__(self, services: Services, held: outbox.Claim) -> Outcome:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Pause):
            return replace(self.answer, at=services.clock() + timedelta(seconds=30))
        self.sent.append(held.key)
        return self.answer


def with_messages(world: World, count: int) -> tuple[Worker, Sink]:
    sink = Sink()
    with world.database.transaction() as session:
        for number in range(count):
            outbox.put(session, "message", f"m{number}", {}, now=world.clock())
    deliveries: dict[str, Deliver] = {"message": sink}
    return Worker(world.services, deliveries, wait=lambda _: None), sink


@pytest.mark.parametrize(
    ("answer", "most_calls"),
    [
        (Pause("TokenRejected 40001", NOON), 4 + 15),
        (Unknown("timeout"), 4 + 15),
        (Unavailable("refused"), 4 + 15),
        # Refused one by one, which looked like ten faults of ten messages.
        (ServiceError("48004: api forbidden"), 4 + 15),
    ],
)
def test_a_fault_of_the_account_is_one_alarm_and_everything_is_sent_afterwards(
    either: World, answer: Outcome | Exception, most_calls: int
) -> None:
    worker, sink = with_messages(either, 10)
    sink.answer = answer
    for _ in range(10):
        drain(worker, 20)
        either.clock.forward(seconds=MINUTE)
    assert sink.calls <= most_calls
    assert questions(either)["OUTAGE"] == 1
    refused_alone = questions(either)["JOB_FAILED"]
    assert refused_alone < pauses.SUSPECT
    sink.answer = Done("SENT")
    for _ in range(12):
        either.clock.forward(seconds=MINUTE)
        drain(worker)
    assert len(sink.sent) == 10 - refused_alone
    assert questions(either)["OUTAGE"] == 0


def test_a_limit_of_a_minute_is_waited_for_without_an_alarm(either: World) -> None:
    worker, sink = with_messages(either, 10)
    sink.answer = Pause("sent too fast", NOON, until=NOON + timedelta(minutes=1), alarm=False)
    drain(worker, 5)
    assert sink.calls <= 4
    assert questions(either) == {}
    sink.answer = Done("SENT")
    either.clock.forward(minutes=2)
    drain(worker)
    assert len(sink.sent) == 10


def test_an_outage_that_comes_back_on_the_same_day_opens_the_same_item(either: World) -> None:
    failure = pauses.Failure("credit:1", "down", whole=True)
    for _ in range(3):
        with either.database.transaction() as session:
            pauses.note_failure(session, Remote.BILLING, failure, now=either.clock())
        assert questions(either) == {"OUTAGE": 1}
        with either.database.transaction() as session:
            pauses.note_success(session, Remote.BILLING, now=either.clock())
        assert questions(either) == {}
        either.clock.forward(minutes=5)
    with either.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ReviewItem)) == 1


def test_of_two_workers_one_sends_the_probe(either: World) -> None:
    failure = pauses.Failure("credit:1", "down", whole=True)
    with either.database.transaction() as session:
        pauses.note_failure(session, Remote.BILLING, failure, now=either.clock())
    either.clock.forward(seconds=6)
    taken = []
    for _ in range(2):
        with either.database.transaction() as session:
            taken.append(pauses.take_probe(session, Remote.BILLING, now=either.clock()))
    assert taken == [True, False]
