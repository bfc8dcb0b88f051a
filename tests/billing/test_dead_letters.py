"""What was acknowledged is counted, known, or kept: damaged records of all kinds, in any order, replayed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.metrics import HouseCollector
from billing.embedded import dead_letters
from billing.embedded.accounting import Accounting
from billing.embedded.accounts import open_account
from billing.embedded.engine import EmbeddedBilling
from models import schema
from models.accounting import DeadLetter
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.usage import EndReason
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import WRAP, Books, Nas

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=CAMPUS_ZONE)
LATER = datetime(2026, 4, 20, 12, 0, tzinfo=CAMPUS_ZONE)
TODAY = "2026-03-10"
GB = 10**9


@pytest.fixture
def books(any_database: Database, billing: EmbeddedBilling) -> Books:
    assert billing.find_account("A1")
    return Books(any_database, Accounting(any_database, FixedClock(LATER)))


def metrics(books: Books) -> dict[tuple[str, str], float]:
    return {
        (family.name, sample.labels.get("reason", "")): sample.value
        for family in HouseCollector(books.database, FixedClock(LATER)).collect()
        for sample in family.samples
        if family.name.startswith("campusnet_accounting")
    }


def kept(books: Books) -> dict[str, int]:
    with books.database.reading() as session:
        return dead_letters.figures(session).dead_letters


ODD = [
    None,
    "",
    "花江校区-BRAS01",
    "x" * 300,
    "a\0b",
    "\ud800",
    -1,
    2**31,
    2**32 - 1,
    2**70,
    1.5,
    True,
    [1],
    {"a": 1},
]


@pytest.mark.parametrize(
    "name", ["nas", "event_at", "delay_s", "session_time_s", "started_at", "address", "vendor"]
)
@pytest.mark.parametrize("kind", ["interim", "stop"])
def test_an_attribute_that_is_not_needed_for_counting_costs_itself_only(
    books: Books, name: str, kind: str
) -> None:
    """A table of damages; each session told by one good and one damaged record."""
    for number, odd in enumerate(ODD):
        nas = Nas(NOON, session=f"s-{number}")
        good = nas.interim(300, 1, GB)
        damaged = nas.record(kind, 600, 2, 2 * GB) | {name: odd}
        if name == "nas":
            good |= {name: odd}
        assert books.take(good, damaged) == ["counted", "counted"], odd
    assert books.days() == {TODAY: (2 * len(ODD), 2 * GB * len(ODD), (2 * GB + 2) * len(ODD))}
    assert len(books.sessions()) == len(ODD)
    assert all((row.ended_at is not None) == (kind == "stop") for row in books.sessions())
    assert kept(books) == {}


@pytest.mark.parametrize("odd", ["花江-1", "x" * 300, "a\0b", "\ud800", 7, ["s"]])
def test_a_session_number_of_any_shape_is_one_session(books: Books, odd: Any) -> None:
    nas = Nas(NOON)
    books.take(nas.interim(300, 1, 2, session=odd), nas.interim(600, 2, 3, session=odd))
    books.take(nas.interim(600, 5, 5, session=f"{odd}other"))
    assert sorted((row.up_bytes, row.down_bytes) for row in books.sessions()) == [(2, 3), (5, 5)]


@pytest.mark.parametrize(
    ("name", "odd", "reason"),
    [
        ("kind", "fine", "kind"),
        ("kind", ["stop"], "kind"),
        ("session", None, "session"),
        ("account", "学号", "account"),
        ("account", "nobody", "no_account"),
        ("input_octets", -1, "input_octets"),
        ("input_octets", None, "input_octets"),
        ("output_octets", "1e3", "output_octets"),
        ("output_gigawords", 2**21, "output_gigawords"),
        ("received_at", 5, "received_at"),
    ],
)
def test_a_record_that_cannot_be_counted_is_kept_as_it_came(
    books: Books, caplog: pytest.LogCaptureFixture, name: str, odd: Any, reason: str
) -> None:
    caplog.set_level(logging.DEBUG)
    record = Nas(NOON).interim(300, 1, 2) | {name: odd}
    (answer,) = books.answers(record)
    assert answer.outcome in ("malformed", "no_account")
    # Sent again it is kept once.
    books.take(record, record)
    with books.database.reading() as session:
        (letter,) = session.scalars(select(DeadLetter)).all()
    assert json.loads(letter.attributes) == record
    assert (letter.reason, letter.source, letter.whole, letter.received_at) == (reason, "http", True, LATER)
    assert metrics(books)["campusnet_accounting_dead_letters", reason] == 1
    assert "A1" not in caplog.text


def test_a_record_without_any_shape_is_kept(books: Books) -> None:
    books.take(7, None, [], "x", "\0\ud800", {}, {"a": "b" * 10_000, "account": "c" * 10_000})
    with books.database.reading() as session:
        letters = session.scalars(select(DeadLetter).order_by(DeadLetter.id)).all()
    assert len(letters) == 7
    assert all(len(letter.attributes) <= dead_letters.ATTRIBUTES_MAX for letter in letters)
    assert [letter.whole for letter in letters] == [True] * 6 + [False]


def test_a_replay_counts_what_was_kept_once(books: Books) -> None:
    nas = Nas(NOON, account="2400101009")
    records = [nas.interim(300, 1, 5), nas.stop(600, 2, 9), Nas(NOON).interim(300, 1, 2) | {"kind": "x"}]
    assert books.take(*records) == ["no_account", "no_account", "malformed"]
    assert books.accounting.replay() == {"no_account": 2, "malformed": 1}
    with books.database.transaction() as session:
        open_account(session, account_no="2400101009", name="学生", kind="undergraduate", now=NOON)
    assert books.accounting.replay("kind") == {"malformed": 1}
    assert books.accounting.replay("no_account") == {"counted": 2}
    assert books.accounting.replay("no_account") == {}
    # Sent again by the network as well.
    assert books.take(*records[:2]) == ["known", "known"]
    assert books.days("2400101009") == {TODAY: (2, 9, 11)}
    assert kept(books) == {"kind": 1}


def test_a_record_without_a_time_of_receipt_is_replayed_with_its_own(books: Books) -> None:
    clock = FixedClock(NOON + timedelta(seconds=301))
    early = Accounting(books.database, clock)
    record = Nas(NOON, account="new").interim(300, 1, 5, received_at=None, event_at=None)
    assert [answer.outcome for answer in early.take([record])] == ["no_account"]
    with books.database.transaction() as session:
        open_account(session, account_no="new", name="学生", kind="undergraduate", now=NOON)
    books.accounting.replay()
    assert books.days("new") == {TODAY: (1, 5, 6)}


def test_letters_fall_with_their_batch(books: Books) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    books.accounting = Accounting(books.database, FixedClock(LATER), announce=fail)
    with pytest.raises(ZeroDivisionError):
        books.take(Nas(NOON).interim(300, 1, 2), {"kind": "x", "nas": "n"})
    assert kept(books) == {}


def test_the_sweep_deletes_what_is_too_old(books: Books) -> None:
    books.take({"kind": "x", "nas": "n"})
    clock = FixedClock(LATER + timedelta(days=9))
    taker = Accounting(books.database, clock, dead_letter_days=10)
    taker.sweep()
    assert kept(books) == {"kind": 1}
    clock.now += timedelta(days=2)
    taker.sweep()
    assert kept(books) == {}


def test_a_stop_without_octets_ends_the_session_with_what_was_known(books: Books) -> None:
    nas = Nas(NOON)
    names = ("input_octets", "output_octets", "input_gigawords", "output_gigawords")
    bare = {key: value for key, value in nas.stop(400).items() if key not in names}
    for wide in (True, False):
        session = f"s-{wide}"
        books.take(nas.interim(300, 1, 3 * WRAP // 4, session=session, wide=wide))
        assert books.take(bare | {"session": session}) == ["counted"]
    for row in books.sessions():
        assert (row.up_bytes, row.down_bytes, row.end_reason) == (1, 3 * WRAP // 4, EndReason.STOP)


@pytest.mark.parametrize("late", [False, True])
def test_a_start_that_carries_totals_is_the_base(books: Books, *, late: bool) -> None:
    nas = Nas(NOON)
    records = [nas.record("start", 0, 7, 3 * GB), nas.interim(300, 8, 4 * GB), nas.stop(600, 9, 5 * GB)]
    for record in reversed(records) if late else records:
        books.take(record)
    assert books.days() == {TODAY: (2, 2 * GB, 2 * GB + 2)}
    assert [(row.up_bytes, row.down_bytes) for row in books.sessions()] == [(2, 2 * GB)]


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_session_under_two_names_is_paid_once(any_books: Books, data: st.DataObject) -> None:
    """In any order of arrival: the first pays up to where it was heard of last, the second the rest."""
    number = next(_numbers)
    names = f"H{number}a", f"H{number}b"
    for name in names:
        _open(any_books, name)
    nas = Nas(NOON, session=f"h-{number}", account=names[0])
    first = [nas.start(), nas.interim(300, 0, 3 * GB), nas.interim(600, 0, 5 * GB)]
    second = [nas.interim(900, 0, 6 * GB), nas.stop(1200, 0, 7 * GB)]
    records = first + [record | {"account": names[1]} for record in second]
    for record in data.draw(st.permutations(records)):
        any_books.take(record)
    paid = [sum(day[2] for day in any_books.days(name).values()) for name in names]
    assert paid == [5 * GB, 2 * GB]


def test_a_second_account_whose_counters_begin_anew_pays_all_of_them(books: Books) -> None:
    books.take(Nas(NOON).interim(300, 0, 5 * GB))
    second = Nas(NOON, account="A2")
    books.take(second.interim(600, 0, GB), second.stop(900, 0, 2 * GB))
    assert books.days("A2") == {TODAY: (0, 2 * GB, 2 * GB)}


def test_doubts_of_32_bit_counters_are_counted_by_server(books: Books) -> None:
    nas = Nas(NOON)
    for step in range(1, 5):
        books.take(nas.interim(300 * step, 0, step * 3_750_000_000, wide=False))
    books.take(
        Nas(NOON, session="s-2").interim(300, 0, 5 * WRAP), Nas(NOON, session="s-2").stop(600, 0, 9 * WRAP)
    )
    with books.database.reading() as session:
        assert dead_letters.figures(session).in_doubt == {"BRAS-01": 3}
    assert metrics(books)["campusnet_accounting_wraparounds_in_doubt", ""] == 3


_numbers = count()
_DAMAGES: list[dict[str, Any]] = [
    {}, {}, {"nas": "楼"}, {"address": "x" * 99}, {"session_time_s": 2**32 - 1}, {"event_at": "never"},
    {"kind": "x"}, {"account": "学号"}, {"account": "nobody-7"}, {"input_octets": -1}, {"received_at": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def any_books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    path: Path = tmp_path_factory.mktemp("letters") / "books.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    yield Books(database, Accounting(database, FixedClock(LATER)))
    database.dispose()


def _open(books: Books, account: str) -> None:
    with books.database.transaction() as session:
        open_account(session, account_no=account, name="学生", kind="undergraduate", now=NOON)


@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_acknowledged_record_is_counted_known_or_kept(any_books: Books, data: st.DataObject) -> None:
    account = f"L{next(_numbers)}"
    _open(any_books, account)
    nas = Nas(NOON, account=account, session=account)
    records: list[Any] = []
    for step in range(1, data.draw(st.integers(1, 8)) + 1):
        damage = data.draw(st.sampled_from(_DAMAGES))
        records.append(nas.interim(300 * step, step, GB * step) | {"mark": f"{account}-{step}"} | damage)
    arrival = data.draw(st.permutations(records + data.draw(st.lists(st.sampled_from(records), max_size=4))))
    refused = set()
    while arrival:
        size = data.draw(st.integers(1, len(arrival)))
        for record, answer in zip(arrival[:size], any_books.answers(*arrival[:size]), strict=True):
            if answer.outcome in ("malformed", "no_account"):
                refused.add(record["mark"])
        arrival = arrival[size:]
        if data.draw(st.booleans()):
            any_books.accounting.replay()
    with any_books.database.reading() as session:
        rows = session.scalars(
            select(DeadLetter.attributes).where(DeadLetter.attributes.contains(f'"{account}-'))
        )
        assert {json.loads(row)["mark"] for row in rows} == refused
    strict = {"kind", "account", "input_octets", "received_at"}
    counted = [
        r for r in records if not any(r.get(name) != nas.interim(1)[name] for name in ("kind", "account"))
    ]
    counted = [r for r in counted if r["input_octets"] >= 0 and r["received_at"] > 1]
    assert len(records) == len(counted) + len(refused), strict
    # Of each server the highest counter was charged.
    highest: dict[str, int] = {}
    for record in counted:
        highest[record["nas"]] = max(
            highest.get(record["nas"], 0), record["output_octets"] + WRAP * record["output_gigawords"]
        )
    assert sum(day[1] for day in any_books.days(account).values()) == sum(highest.values())


def test_the_commands_show_replay_and_sum_up(
    any_database: Database, books: Books, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from app import accounting as commands

    class House:
        database = any_database
        accounting = books.accounting

        def close(self) -> None:
            """Nothing was opened."""

    monkeypatch.setattr(commands, "open_config", lambda _path: None)
    monkeypatch.setattr("app.accounting.wiring.build", lambda _config: House())
    config = tmp_path / "config.toml"
    config.touch()
    books.take(Nas(NOON, account="nobody").interim(300, 1, 2), {"kind": "x", "nas": "n"})

    def run(*words: str) -> str:
        done = CliRunner().invoke(commands.accounting_group, [*words, "--config", str(config)])
        assert done.exit_code == 0, done.output
        return done.output

    shown = [json.loads(line) for line in run("dead-letters", "--limit", "1").splitlines()]
    assert [one["reason"] for one in shown] == ["kind"]
    assert len(run("dead-letters").splitlines()) == 2
    assert run("replay", "--reason", "no_account") == "no_account: 1\n"
    assert "not counted: 2\n  kind: 1\n  no_account: 1\n" in run("summary")
    with any_database.reading() as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 2
