"""The pitfalls of accounting (research, campus-billing 3.4), one test each where they concern the way in.

Elsewhere: 11 (MB or GB: `models.money`, docs/policy.md; the way in counts bytes), 12 (what is free is
left out by the NAS: a record cannot tell), 13 (lots open lazily: tested here; the stampede is one of
speed changes sent to the NAS), 14 (validity: tests/billing/test_quota.py), 15 and 16 (a speed change
that the NAS acknowledged or lost: the RADIUS adapter), 20 (login does not pass through here).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from billing.embedded import seed
from billing.embedded.accounting import Accounting
from billing.embedded.accounts import close_account
from billing.embedded.engine import EmbeddedBilling
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import Unavailable
from models.package import Counted, LotKind, MonthRule, TrafficLot, TrafficRule
from models.usage import EndReason, UsageSample
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import WRAP, Books, Nas

GIB = 2**30
GB = 10**9
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=CAMPUS_ZONE)
TODAY = "2026-03-10"


@pytest.fixture
def nas(billing: EmbeddedBilling) -> Nas:
    assert billing.find_account("A1")
    return Nas(NOON)


@pytest.fixture
def clock() -> FixedClock:
    """Late enough for every event of these tests to be in the past."""
    return FixedClock(datetime(2026, 4, 20, 12, 0, tzinfo=CAMPUS_ZONE))


@pytest.fixture
def books(any_database: Database, clock: FixedClock, billing: EmbeddedBilling) -> Books:
    assert billing.capabilities().sessions
    return Books(any_database, Accounting(any_database, clock))


def grant(database: Database, quota_bytes: int) -> None:
    with database.transaction() as session:
        seed.seed_grant_policy(session, quota_bytes=quota_bytes)


def test_pitfall_1_absent_gigawords(books: Books, nas: Nas) -> None:
    steps = [3 * GIB, 5 * GIB - 1, 6 * GIB, 7 * GIB, 8 * GIB, 9 * GIB]
    for number, down in enumerate(steps, 1):
        books.take(nas.interim(300 * number, 10, down, wide=False))
    assert books.days() == {TODAY: (10, 9 * GIB, 9 * GIB + 10)}


def test_pitfall_1_gigawords_that_are_there_are_believed(books: Books, nas: Nas) -> None:
    books.take(nas.interim(300, 1, 10), nas.interim(600, 1, 100 * WRAP + 11))
    assert books.days() == {TODAY: (1, 100 * WRAP + 11, 100 * WRAP + 12)}


def test_pitfall_2_an_older_interim_that_arrives_late(books: Books, nas: Nas) -> None:
    assert books.take(nas.interim(600, 20, 4_294_967_396)) == ["counted"]
    assert books.take(nas.interim(300, 10, 5000)) == ["sorted_in"]
    assert books.days() == {TODAY: (20, 4_294_967_396, 4_294_967_416)}
    assert books.sessions()[0].down_bytes == 4_294_967_396


def test_pitfall_2_a_counter_that_went_back_adds_nothing_until_it_has_caught_up(
    books: Books, nas: Nas
) -> None:
    for at, down in ((300, 1000), (600, 400), (900, 900), (1200, 1500)):
        books.take(nas.interim(at, 0, down))
    assert books.days() == {TODAY: (0, 1500, 1500)}


def test_pitfall_3_a_retransmission(books: Books, nas: Nas) -> None:
    first, second = nas.interim(300, 5, 10), nas.interim(600, 6, 20)
    assert books.take(first, second, second) == ["counted", "counted", "known"]
    assert books.take(first, second) == ["known", "known"]
    assert books.days() == {TODAY: (6, 20, 26)}
    with books.database.reading() as session:
        assert len(session.scalars(select(UsageSample)).all()) == 2


def test_pitfall_4_a_session_number_used_again_after_a_restart(books: Books, nas: Nas) -> None:
    books.take(nas.start(), nas.stop(600, 0, 5000))
    again = Nas(NOON + timedelta(hours=1))
    books.take(again.start(), again.interim(300, 0, 700))
    books.take(Nas(NOON, nas="BRAS-02").stop(600, 0, 11))
    assert [row.down_bytes for row in books.sessions()] == [5000, 11, 700]
    assert books.days() == {TODAY: (0, 5711, 5711)}


@pytest.mark.parametrize("kind", ["on", "off"])
def test_pitfall_5_accounting_on_and_off_close_all_of_a_nas(books: Books, nas: Nas, kind: str) -> None:
    other = Nas(NOON, session="s-2", account="A2")
    elsewhere = Nas(NOON, session="s-3", nas="BRAS-02")
    books.take(nas.interim(300, 0, 5), other.interim(300, 0, 5), elsewhere.interim(300, 0, 5))
    later = int((NOON + timedelta(seconds=400)).timestamp())
    assert books.take({"kind": kind, "nas": "BRAS-01", "event_at": later, "received_at": later}) == ["closed"]
    ends = {row.session_no: row.end_reason for row in books.sessions() + books.sessions("A2")}
    assert ends == {"s-1": EndReason.NAS, "s-2": EndReason.NAS, "s-3": None}
    # Traffic from before the restart that arrives only now still counts.
    assert books.take(nas.interim(200, 0, 2)) == ["sorted_in"]
    assert books.sessions()[0].end_reason == EndReason.NAS


def test_pitfall_6_a_lost_stop(books: Books, clock: FixedClock, nas: Nas) -> None:
    clock.now = NOON + timedelta(seconds=300)
    books.take(nas.interim(300, 1, 2))
    clock.now += timedelta(minutes=20)
    assert books.accounting.sweep() == 0
    clock.now += timedelta(seconds=1)
    assert books.accounting.sweep() == 1
    (row,) = books.sessions()
    assert (row.ended_at, row.end_reason) == (NOON + timedelta(seconds=300), EndReason.STALE)
    # It was only silent: the next report opens it again, a stop ends it for good.
    books.take(nas.interim(1500, 1, 9))
    assert books.sessions()[0].ended_at is None
    books.take(nas.stop(1600, 1, 9), nas.interim(1700, 1, 9))
    (row,) = books.sessions()
    assert (row.ended_at, row.end_reason) == (NOON + timedelta(seconds=1600), EndReason.STOP)


def test_pitfall_7_a_session_over_the_month_border(books: Books) -> None:
    grant(books.database, 100 * GB)
    nas = Nas(datetime(2026, 3, 31, 23, 50, tzinfo=CAMPUS_ZONE))
    books.take(nas.interim(300, 0, 100), nas.interim(900, 0, 300), nas.stop(1200, 0, 1000))
    assert books.days() == {"2026-03-31": (0, 200, 200), "2026-04-01": (0, 800, 800)}
    assert books.lots() == {"grant 02-28": 200, "grant 03-31": 800}


def test_pitfall_7_a_session_known_only_by_its_stop_is_shared_between_the_months(books: Books) -> None:
    nas = Nas(datetime(2026, 3, 31, 18, 0, tzinfo=CAMPUS_ZONE))
    books.take(nas.stop(24 * 3600, 0, 1000))
    assert books.days() == {"2026-03-31": (0, 250, 250), "2026-04-01": (0, 750, 750)}


@pytest.mark.parametrize(("off_s", "minute"), [(-599, -9), (599, 9), (-601, 0), (8 * 3600, 0)])
def test_pitfall_8_a_nas_clock_that_is_off(books: Books, clock: FixedClock, off_s: int, minute: int) -> None:
    nas = Nas(NOON + timedelta(seconds=off_s))
    clock.now = NOON + timedelta(seconds=300)
    books.take(nas.interim(300, 0, 5, received_at=None))
    (row,) = books.sessions()
    assert int((row.started_at - NOON).total_seconds() / 60) == minute


def test_pitfall_8_a_clock_that_is_set_during_a_session_starts_no_second_one(
    books: Books, clock: FixedClock
) -> None:
    never_set = Nas(datetime(1970, 1, 1, 8, 2, tzinfo=CAMPUS_ZONE))
    clock.now = NOON + timedelta(seconds=300)
    books.take(never_set.interim(300, 0, 1000, received_at=None))
    clock.now = NOON + timedelta(seconds=602)
    books.take(Nas(NOON).interim(600, 0, 1500))
    assert [row.down_bytes for row in books.sessions()] == [1500]


def test_pitfall_8_a_clock_that_drifts_past_the_limit_starts_no_second_session(
    books: Books, clock: FixedClock
) -> None:
    drifting = Nas(NOON - timedelta(seconds=595))
    clock.now = NOON + timedelta(seconds=300)
    books.take(drifting.interim(300, 0, 1000, received_at=None))
    clock.now = NOON + timedelta(seconds=610)
    books.take(drifting.interim(600, 0, 1500, received_at=None))
    assert [row.down_bytes for row in books.sessions()] == [1500]


def test_pitfall_9_acct_delay_time(books: Books, clock: FixedClock, nas: Nas) -> None:
    # Sent at 23:58, delivered at 00:30: it belongs to the day on which it was sent.
    late = Nas(datetime(2026, 3, 10, 23, 53, tzinfo=CAMPUS_ZONE))
    clock.now = datetime(2026, 3, 11, 0, 30, tzinfo=CAMPUS_ZONE)
    books.take(late.interim(300, 0, 5, event_at=None, received_at=None, delay_s=32 * 60))
    assert books.days() == {TODAY: (0, 5, 5)}
    books.take(nas.interim(0, 0, 5, received_at=None, delay_s=12 * 3600 + 30 * 60, session="s-2"))
    assert books.sessions()[0].started_at == NOON


def test_pitfall_10_input_is_upload(books: Books, billing: EmbeddedBilling, nas: Nas) -> None:
    books.take(nas.interim(300, 111, 999))
    (day,) = billing.usage("A1", days=60)
    assert (day.up_bytes, day.down_bytes, day.used_bytes) == (111, 999, 1110)


@pytest.mark.parametrize(("counted", "used"), [(Counted.BOTH, 30), (Counted.DOWN, 20), (Counted.UP, 10)])
def test_pitfall_10_the_direction_that_counts_is_a_policy(
    books: Books, clock: FixedClock, nas: Nas, counted: Counted, used: int
) -> None:
    grant(books.database, GB)
    books.accounting = Accounting(books.database, clock, counted=counted)
    books.take(nas.interim(300, 10, 20))
    assert books.days() == {TODAY: (10, 20, used)}
    assert books.lots() == {"grant 02-28": used}


def test_pitfall_10_without_a_word_the_rule_in_force_says_which_direction(books: Books, nas: Nas) -> None:
    with books.database.transaction() as session:
        session.add(
            TrafficRule(
                effective_from=NOON, bytes_per_gb=GB, month_rule=MonthRule.SAME_DAY, counted=Counted.UP,
                ended_is_used_up=True, rest_carries_over=False,
            )
        )  # fmt: skip
    books.take(nas.interim(300, 10, 20))
    assert books.days() == {TODAY: (10, 20, 10)}


def test_pitfall_13_the_grant_of_a_month_opens_with_its_first_traffic(books: Books, nas: Nas) -> None:
    grant(books.database, GB)
    with books.database.transaction() as session:
        close_account(session, "A2")
    books.take(nas.interim(300, 0, 5), Nas(NOON, account="A2", session="s-2").interim(300, 0, 5))
    assert books.lots() == {"grant 02-28": 5}
    # A closed account gets nothing new; its traffic is known all the same.
    assert (books.lots("A2"), books.speeds("A2")) == ({}, (0, 5))


def test_pitfall_17_the_same_account_on_two_devices_at_once(books: Books, clock: FixedClock) -> None:
    grant(books.database, 1000)
    devices = [Nas(NOON, session=f"d-{number}") for number in range(4)]

    def report(device: Nas) -> None:
        taker = Accounting(books.database, clock)
        for step in range(1, 11):
            taker.take([device.interim(300 * step, step, 10 * step)])

    run_together([lambda device=device: report(device) for device in devices])  # type: ignore[misc]
    assert books.days() == {TODAY: (40, 400, 440)}
    assert books.lots() == {"grant 02-28": 440}


def test_pitfall_18_traffic_and_a_purchase_lock_in_the_same_order(
    books: Books, billing: EmbeddedBilling
) -> None:
    """Money and traffic of one account at once: nobody waits in a circle, nothing is lost."""
    grant(books.database, 1000)
    device = Nas(NOON)

    def pay() -> None:
        for number in range(10):
            billing.credit("A1", 100, key=f"k{number}")

    def use() -> None:
        for step in range(1, 11):
            books.take(device.interim(300 * step, 0, 10 * step))

    run_together([pay, use])
    assert billing.balance("A1").balance_fen == 1000
    assert books.days() == {TODAY: (0, 100, 100)}


def test_pitfall_19_what_is_used_beyond_the_lots_is_throttled_never_debt(books: Books, nas: Nas) -> None:
    grant(books.database, 1000)
    books.take(nas.interim(300, 0, 900), nas.interim(600, 0, 1300))
    assert books.lots() == {"grant 02-28": 1000}
    assert books.speeds() == (1000, 300)


def test_a_late_report_moves_traffic_to_the_day_it_was_used_on(books: Books) -> None:
    grant(books.database, 1000)
    nas = Nas(datetime(2026, 3, 31, 22, 0, tzinfo=CAMPUS_ZONE))
    with books.database.transaction() as session:
        ends_at = NOON + timedelta(days=40)
        session.add(
            TrafficLot(
                account_no="A1", kind=LotKind.PACKAGE, total_bytes=500, used_bytes=0,
                starts_at=NOON, ends_at=ends_at,
            )
        )  # fmt: skip
    books.take(nas.start(), nas.stop(4 * 3600, 0, 2000))
    assert books.lots() == {"grant 02-28": 1000, "package 03-10": 0, "grant 03-31": 1000}
    assert books.take(nas.interim(7200, 0, 1800)) == ["sorted_in"]
    assert books.days() == {"2026-03-31": (0, 1800, 1800), "2026-04-01": (0, 200, 200)}
    assert books.lots() == {"grant 02-28": 1000, "package 03-10": 500, "grant 03-31": 200}
    assert books.speeds() == (1700, 300)


def test_what_is_taken_back_was_throttled_first(books: Books) -> None:
    grant(books.database, 1000)
    nas = Nas(datetime(2026, 3, 31, 22, 0, tzinfo=CAMPUS_ZONE))
    books.take(nas.start(), nas.stop(4 * 3600, 0, 3000))
    assert (books.lots(), books.speeds()) == ({"grant 02-28": 1000, "grant 03-31": 1000}, (2000, 1000))
    books.take(nas.interim(7200, 0, 1800))
    assert books.days() == {"2026-03-31": (0, 1800, 1800), "2026-04-01": (0, 1200, 1200)}
    assert (books.lots(), books.speeds()) == ({"grant 02-28": 1000, "grant 03-31": 1000}, (2000, 1000))


def test_copies_of_a_first_record_that_arrive_at_once_count_once(books: Books, nas: Nas) -> None:
    """Without the lock on the account two of them open the session: the database refuses the second."""
    grant(books.database, GB)
    outcomes: list[str] = []
    gate = threading.Barrier(4)
    for step in range(5):
        record = nas.interim(300, 1, 2, session=f"s-{step}")

        def send(record: dict[str, Any] = record) -> None:
            gate.wait(10)
            outcomes.extend(books.take(record))

        run_together([send] * 4)
    assert sorted(outcomes) == ["counted"] * 5 + ["known"] * 15
    assert books.days() == {TODAY: (5, 10, 15)}


def test_garbage_among_the_records_stops_nobody(books: Books, nas: Nas) -> None:
    good = nas.interim(300, 1, 2)
    bad: list[Any] = [
        7, None, [], "x", {}, good | {"kind": "fine"}, good | {"account": "学号"},
        good | {"account": "nobody"}, good | {"input_octets": -1},
        good | {"input_octets": WRAP}, good | {"output_octets": True},
        good | {"output_gigawords": 2**21}, good | {"session": ""}, good | {"received_at": 5},
        good | {"input_octets": "1e3"}, good | {"input_octets": 1.0},
    ]  # fmt: skip
    answers = books.answers(*bad, good)
    assert [answer.outcome for answer in answers if answer.outcome != "malformed"] == [
        "no_account",
        "counted",
    ]
    assert [answer.field for answer in answers[4:7]] == ["kind", "kind", "account"]
    assert books.days() == {TODAY: (1, 2, 3)}


def test_what_was_reported_is_never_changed(books: Books, nas: Nas) -> None:
    grant(books.database, GB)
    books.take(nas.interim(300, 1, 2))
    for statement in ("UPDATE usage_sample SET up_octets = 0", "DELETE FROM lot_use"):
        with pytest.raises(IntegrityError, match="append-only"), books.database.engine.begin() as connection:
            connection.execute(text(statement))


def test_an_announcement_that_fails_takes_its_batch_with_it(
    books: Books, clock: FixedClock, nas: Nas
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    books.accounting = Accounting(books.database, clock, announce=fail)
    with pytest.raises(ZeroDivisionError):
        books.take(nas.interim(300, 1, 2))
    assert (books.days(), books.sessions()) == ({}, [])


def test_without_a_database_the_batch_is_to_be_sent_again(clock: FixedClock, nas: Nas) -> None:
    nowhere = Accounting(Database("postgresql://nobody@127.0.0.1:9/none"), clock)
    with pytest.raises(Unavailable):
        nowhere.take([nas.interim(300, 1, 2)])


def test_sessions_are_listed_by_pages_newest_first(books: Books, billing: EmbeddedBilling) -> None:
    # Two begin at the same moment: a page may end between them.
    begun = [NOON + timedelta(hours=hour) for hour in (0, 1, 1, 2)]
    for number, at in enumerate(begun):
        books.take(Nas(at, session=f"s-{number}").stop(60, number, 2, address="10.1.2.3"))
    books.take(Nas(NOON, account="A2").interim(60, 1, 2))
    seen, before = [], None
    while page := billing.sessions("A1", before=before, limit=2):
        seen += page
        before = page[-1].mark
    assert [row.up_bytes for row in seen] == [3, 2, 1, 0]
    first = seen[-1]
    assert (first.started_at, first.ended_at) == (NOON, NOON + timedelta(seconds=60))
    assert (first.nas, first.address, first.down_bytes) == ("BRAS-01", "10.1.2.3", 2)
    assert len(billing.sessions("A1", before="nonsense", limit=9)) == 4
    assert billing.sessions("A3") == []


def run_together(parts: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def run(part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
