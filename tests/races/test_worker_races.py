"""Races between workers, each with its negative control: the guard taken out, the bug shows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from billing.embedded import ledger
from billing.embedded.engine import EmbeddedBilling
from models.allocation import Allocation
from models.errors import Conflict
from models.ledger import Account, Entry
from models.order import Credit, CreditStatus
from models.schedule import Periodic
from payments import credit, outbox, periodic
from payments.outcome import Done
from payments.services import Services
from tests.models_of_money.world import ACCOUNTS
from tests.races.conftest import AMOUNT_FEN, Desk
from tests.races.meeting import Meeting, together

pytestmark = pytest.mark.postgres

AFTER_LEASE_S = outbox.LEASE_S + 1


def deliver_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A slow worker's lease runs out while it calls billing, and a second worker takes over."""
    desk.tell(desk.paid_order())
    later = desk.later(AFTER_LEASE_S)
    slow, quick = desk.claim("slow", desk.services), desk.claim("quick", later)
    Meeting(desk.database).at(monkeypatch, EmbeddedBilling, "_credit_once")

    def take_over() -> object:
        # A slow worker that begins after its successor steps back, and there is no race.
        wait_until_sending(desk)
        return credit.deliver(later, quick)

    return together(partial(credit.deliver, desk.services, slow), take_over)


def wait_until_sending(desk: Desk) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with desk.services.reading() as session:
            if session.scalars(select(Credit.status)).one() == CreditStatus.SENDING:
                return
        time.sleep(0.01)
    raise TimeoutError("the slow worker did not begin")


def entries_and_balance(desk: Desk) -> tuple[int, int]:
    with desk.services.reading() as session:
        entries = session.scalar(select(func.count()).where(Entry.kind == "credit")) or 0
        return entries, session.get_one(Account, ACCOUNTS[0]).balance_fen


def test_a_credit_sent_by_two_workers_is_applied_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deliver_twice(desk, monkeypatch) == [Done(), Done()]
    assert entries_and_balance(desk) == (1, AMOUNT_FEN)
    assert desk.findings() == []


def test_without_the_key_a_credit_sent_by_two_workers_is_applied_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()
    monkeypatch.setattr(ledger, "credit_key", lambda key: f"credit:{key}:{next(numbers)}")
    deliver_twice(desk, monkeypatch)
    assert entries_and_balance(desk) == (2, 2 * AMOUNT_FEN)
    assert desk.findings() != []


def give_up_late(desk: Desk) -> tuple[CreditStatus, int]:
    """The slow worker hears `not reachable` while its successor is sending. Returns: state and fen held."""
    order_no = desk.paid_order()
    desk.tell(order_no)
    later = desk.later(AFTER_LEASE_S)
    slow = desk.claim("slow", desk.services)
    credit._begin(desk.services, slow, order_no, None)
    quick = desk.claim("quick", later)
    credit._begin(later, quick, order_no, None)
    with suppress(Conflict):
        credit._not_applied(later, slow, CreditStatus.PENDING, "not reachable")
    with desk.services.reading() as session:
        return session.scalars(select(Credit.status)).one(), session.scalars(
            select(Allocation.credit_fen)
        ).one()


def test_a_worker_that_comes_late_cannot_undo_its_successor(desk: Desk) -> None:
    assert give_up_late(desk) == (CreditStatus.SENDING, AMOUNT_FEN)


def test_without_the_fence_a_late_worker_frees_money_that_is_being_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "insist", lambda *_, **__: None)
    assert give_up_late(desk) == (CreditStatus.PENDING, 0)


def claim_on_two_connections(desk: Desk) -> list[int]:
    """Two workers look for due items before either commits. Returns: how many each got."""
    desk.tell(desk.paid_order())
    due = outbox._due(["credit", "swap"], desk.services.clock(), 4)
    with desk.database.reading() as first, desk.database.reading() as second:
        return [len(session.execute(due).all()) for session in (first, second)]


def test_an_item_is_claimed_by_one_of_two_workers(desk: Desk) -> None:
    assert claim_on_two_connections(desk) == [1, 0]


def test_without_skip_locked_both_workers_claim_the_item(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Select, "with_for_update", lambda self, **_: self)
    assert claim_on_two_connections(desk) == [1, 1]


def turns_taken(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two workers see the same turn due at the same moment. Returns: how often the job ran."""
    ran: list[Services] = []
    jobs = {"sweep": periodic.Job(ran.append, periodic.every(60))}
    periodic.run_due(desk.services, jobs)
    later = desk.later(61)
    Meeting(desk.database).at(monkeypatch, periodic, "take")
    look: Callable[[], object] = partial(periodic.run_due, later, jobs)
    together(look, look)
    return len(ran)


def test_a_turn_of_a_periodic_job_is_taken_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns_taken(desk, monkeypatch) == 1


def test_without_compare_and_set_a_turn_is_taken_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def naive_take(session: Session, name: str, next_at: Any, **_: Any) -> bool:
        session.execute(update(Periodic).where(Periodic.name == name).values(next_at=next_at))
        return True

    with desk.services.transaction() as session:
        session.add(Periodic(name="sweep", next_at=desk.services.clock() + timedelta(seconds=60)))
    monkeypatch.setattr(periodic, "take", naive_take)
    assert turns_taken(desk, monkeypatch) == 2


def test_two_workers_that_both_meet_a_new_job_agree_on_its_first_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Meeting(desk.database).at(monkeypatch, periodic, "take")
    jobs = {"sweep": periodic.Job(lambda _: None, periodic.every(60))}
    look = partial(periodic.run_due, desk.services, jobs)
    assert together(look, look) == [0, 0]
