"""Sweeper, sealed journal, periodic jobs."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError

from models import journal
from models.db.engine import Database
from models.journal import JournalRow, JournalSeal
from models.outbox import OutboxItem, OutboxStatus
from models.schedule import Periodic
from models.swap import SwapIntent, SwapStatus
from payments import credit, periodic, sweep
from payments.audit import hash_chain as sealing
from payments.services import Services
from tests.builders import NOON, World


@pytest.fixture
def either(any_database: Database) -> World:
    return World(any_database)


def forget(world: World, kind: str) -> None:
    with world.database.transaction() as session:
        session.execute(delete(OutboxItem).where(OutboxItem.kind == kind))


@pytest.mark.parametrize("kind", ["settle", "credit"])
def test_work_that_nobody_drives_is_promised_again(either: World, kind: str) -> None:
    view = either.prepaid() if kind == "settle" else either.paid()
    forget(either, kind)
    either.clock.forward(hours=1)
    sweep.sweep(either.services)
    assert [item.key for item in either.claim(kind)] == [view.order_no]


def test_a_swap_that_nobody_drives_is_promised_again_once_the_money_is_there(either: World) -> None:
    view = either.paid()
    waits = SwapIntent(
        order_id=view.id, package_code="P05", package_name="5元", price_fen=500, status=SwapStatus.WAITING,
        changed_at=either.clock(),
    )  # fmt: skip
    with either.database.transaction() as session:
        session.add(waits)
    sweep.sweep(either.services)
    assert either.item("swap", view.order_no) is None
    (held,) = either.claim("credit")
    credit.deliver(either.services, held)
    forget(either, "swap")
    either.clock.forward(hours=1)
    sweep.sweep(either.services)
    assert [item.payload for item in either.claim("swap")] == [{"order_no": view.order_no}]


@pytest.mark.parametrize("kind", ["settle", "credit"])
def test_work_that_stopped_just_now_is_left_to_whoever_does_it(world: World, kind: str) -> None:
    view = world.prepaid() if kind == "settle" else world.paid()
    forget(world, kind)
    if kind == "settle":
        world.clock.now = world.order(view).expires_at
    world.clock.forward(minutes=4)
    sweep.sweep(world.services)
    assert world.claim(kind) == []


def test_work_marked_as_done_too_early_is_promised_again(world: World) -> None:
    view = world.paid()
    with world.database.transaction() as session:
        session.execute(update(OutboxItem).values(status=OutboxStatus.DONE))
    world.clock.forward(hours=1)
    sweep.sweep(world.services)
    assert view.order_no in [item.key for item in world.claim("credit")]


def test_work_in_hand_is_left_alone(world: World) -> None:
    world.paid()
    held = world.claim("credit", "settle")
    world.clock.forward(minutes=10)
    sweep.sweep(world.services)
    assert {i.attempts for i in world.claim("credit")} == {held[0].attempts + 1}


def noted(world: World, count: int) -> None:
    with world.database.transaction() as session:
        for number in range(count):
            journal.note(session, "test", order_no=None, actor="t", now=world.clock(), number=number)


def findings(world: World) -> list[str]:
    with world.database.reading() as session:
        return list(sealing.verify(session, world.clock()))


def test_the_sealed_journal_verifies(either: World) -> None:
    noted(either, 5)
    sealing.seal(either.services)
    noted(either, 3)
    sealing.seal(either.services)
    assert findings(either) == []
    with either.database.reading() as session:
        assert session.scalars(select(JournalSeal.position).order_by(JournalSeal.position)).all() == [
            *range(1, 9)
        ]


def test_a_turn_looks_at_the_newest_rows_and_the_night_at_all(
    either: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "LATE", 2)
    with either.database.transaction() as session:
        # Rows 2 and 5 are those of transactions that are still open while the others are sealed.
        for number in (1, 3, 4, 6):
            session.add(JournalRow(id=number, at=either.clock(), what="x", actor="a", facts={}))
    sealing.seal(either.services)
    with either.database.transaction() as session:
        for number in (2, 5):
            session.add(JournalRow(id=number, at=either.clock(), what="x", actor="a", facts={}))
    sealing.seal(either.services)
    either.clock.forward(hours=1)
    assert findings(either) == ["1 rows are unsealed"]
    sealing.seal_late(either.services)
    assert findings(either) == []
    with either.database.reading() as session:
        order = select(JournalSeal.journal_id).order_by(JournalSeal.position)
        assert session.scalars(order).all() == [1, 3, 4, 6, 5, 2]


def test_the_database_refuses_to_change_the_journal(either: World) -> None:
    noted(either, 1)
    for statement in (update(JournalRow).values(actor="x"), delete(JournalRow)):
        with pytest.raises(IntegrityError), either.database.transaction() as session:
            session.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET actor = 'thief' WHERE id = 2",
        "UPDATE journal SET what = 'other' WHERE id = 2",
        "UPDATE journal SET order_no = 'r0' WHERE id = 2",
        "UPDATE journal SET facts = '{}' WHERE id = 2",
        "UPDATE journal SET at = '2020-01-01 00:00:00' WHERE id = 2",
    ],
)
def test_a_changed_row_is_found(world: World, change: str) -> None:
    noted(world, 3)
    sealing.seal(world.services)
    with world.database.transaction() as session:
        session.execute(text("DROP TRIGGER journal_no_update"))
        session.execute(text(change))
    (said,) = findings(world)
    assert re.fullmatch(r"row 2 of 20\d\d-\d\d-\d\d is not what was sealed", said)


def test_a_row_changed_together_with_its_seal_is_found_by_the_next_one(world: World) -> None:
    noted(world, 3)
    sealing.seal(world.services)
    with world.database.transaction() as session:
        for trigger in ("journal_no_update", "journal_seal_no_update"):
            session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(update(JournalRow).where(JournalRow.id == 1).values(actor="thief"))
        changed = session.get_one(JournalRow, 1, populate_existing=True)
        forged = journal.hash_of(changed, journal.GENESIS)
        session.execute(update(JournalSeal).where(JournalSeal.position == 1).values(hash=forged))
    assert findings(world) == ["row 2 of 2026-03-10 is not what was sealed"]


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (("DELETE FROM journal WHERE id = 2",), "the row of seal 2 is gone, after row 1 of 2026-03-10"),
        (
            ("DELETE FROM journal_seal WHERE position = 2", "DELETE FROM journal WHERE id = 2"),
            "seal 2 is missing, after row 1 of 2026-03-10",
        ),
    ],
)
def test_a_row_that_is_gone_is_found(world: World, statements: tuple[str, ...], found: str) -> None:
    noted(world, 3)
    sealing.seal(world.services)
    with world.database.engine.connect() as connection:
        # Whoever takes a row away does not mind the keys.
        raw = connection.connection.cursor()
        raw.execute("PRAGMA foreign_keys=OFF")
        for table in ("journal", "journal_seal"):
            raw.execute(f"DROP TRIGGER {table}_no_delete")
        for statement in statements:
            raw.execute(statement)
        connection.connection.commit()
        raw.execute("PRAGMA foreign_keys=ON")
        raw.close()
    assert found in findings(world)


def test_a_row_that_nobody_seals_is_found(world: World) -> None:
    noted(world, 1)
    assert findings(world) == []
    world.clock.forward(hours=1)
    assert findings(world) == ["1 rows are unsealed"]


def test_a_periodic_job_runs_once_a_turn_however_many_ask(either: World) -> None:
    ran: list[int] = []

    def run(_services: Services) -> None:
        ran.append(1)

    jobs = {"job": periodic.Job(run, periodic.every(60))}
    periodic.run_due(either.services, jobs)
    assert ran == []
    either.clock.forward(seconds=61)
    assert [periodic.run_due(either.services, jobs) for _ in range(3)] == [1, 0, 0]
    assert ran == [1]


def test_a_job_that_fails_has_its_next_turn_all_the_same(world: World) -> None:
    def fail(_services: Services) -> None:
        raise ZeroDivisionError

    jobs = {"job": periodic.Job(fail, periodic.every(60))}
    periodic.run_due(world.services, jobs)
    world.clock.forward(seconds=61)
    assert periodic.run_due(world.services, jobs) == 1
    with world.database.reading() as session:
        assert "ZeroDivisionError" in (session.scalars(select(Periodic.last_error)).one() or "")


def test_a_job_that_fails_may_be_due_again_before_its_next_turn(either: World) -> None:
    troubles: list[Exception] = [ZeroDivisionError()]

    def fail_once(_services: Services) -> None:
        if troubles:
            raise troubles.pop()

    jobs = {"job": periodic.Job(fail_once, periodic.daily(10, 10), again_s=900)}
    periodic.run_due(either.services, jobs)
    either.clock.forward(days=1)
    assert periodic.run_due(either.services, jobs) == 1
    either.clock.forward(seconds=901)
    assert [periodic.run_due(either.services, jobs) for _ in range(2)] == [1, 0]


def test_a_daily_turn_is_at_campus_time() -> None:
    turn = periodic.daily(10, 10)
    # NOON is 12:00 on campus: today's 10:10 is over.
    assert turn(NOON).isoformat() == "2026-03-11T10:10:00+08:00"
