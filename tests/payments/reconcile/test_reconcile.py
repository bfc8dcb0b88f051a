"""The matrix of payments.md 3.3, one promise at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from models.db.engine import Database
from models.errors import Conflict, Malformed, Refused, Unavailable
from models.journal import JournalRow
from models.order import Credit, CreditStatus, OrderAction, OrderStatus, PaymentFact, advance
from models.outbox import OutboxItem, OutboxStatus
from models.review import ReviewItem, ReviewKind
from models.statement import Difference, ReconStatus
from models.values.actor import Actor
from payments.reconcile import daily as reconcile
from payments.reconcile import decide as reconcile_decide
from payments.reconcile import result as reconcile_result
from payments.reconcile import runs as reconcile_runs
from payments.reconcile import sign_off
from payments.reconcile.result import Action, Kind
from payments.reconcile.runs import DaySigned, Summary
from payments.views import OrderView
from tests.builders import NOON
from tests.payments.reconcile.bill_maker import ON, BillWorld, CreditLine, Paid, row_of

Diff = tuple[str, str, str]


@pytest.fixture
def world(any_database: Database, tmp_path: Path) -> BillWorld:
    return BillWorld(any_database, tmp_path)


def run(world: BillWorld, *rows: Paid, **options: Any) -> Summary:
    if world.clock() == NOON:
        world.next_morning()
    return reconcile.run_file(world.services, ON, world.bill(*rows), **options)


def differences(world: BillWorld, on: Any = ON) -> list[Diff]:
    with world.database.reading() as session:
        found = reconcile_runs.differences_of(session, on)
        return sorted((str(one.kind), one.key, one.action) for one in found)


def asked(world: BillWorld) -> list[str]:
    with world.database.reading() as session:
        query = select(ReviewItem.key).where(ReviewItem.kind == ReviewKind.BILL_DIFFERENCE)
        return sorted(session.scalars(query))


def expire(world: BillWorld, view: OrderView) -> None:
    with world.database.transaction() as session:
        order = session.merge(world.order(view))
        advance(session, order, OrderAction.EXPIRE, cause="test", now=world.clock())


def of(kind: Kind, key: str, action: Action) -> list[Diff]:
    return [(kind.value, key, action.value)]


def test_a_day_on_which_all_agree_has_no_difference(world: BillWorld) -> None:
    views = [world.credited(500), world.credited(700)]
    result = run(world, *map(row_of, views))
    assert (result.status, result.differences, asked(world)) == (ReconStatus.DONE, {}, [])
    assert (
        result.totals["ours"]
        == result.totals["promised"]
        == result.totals["billing"]
        == {
            "rows": 2,
            "fen": 1200,
        }
    )
    assert result.totals["bill"]["order"] == result.totals["bill_says"]["order"] == 1200


@pytest.mark.parametrize("state", [OrderStatus.PREPAID, OrderStatus.EXPIRED])
def test_a_payment_nobody_told_us_of_is_recorded_credited_and_flagged(
    world: BillWorld, state: OrderStatus
) -> None:
    view = world.prepaid()
    if state == OrderStatus.EXPIRED:
        expire(world, view)
    world.woken.clear()
    run(world, row_of(view))
    assert world.woken == [1]
    assert world.order(view).status == OrderStatus.PAID
    assert world.item("credit", view.order_no) is not None
    with world.database.reading() as session:
        fact = session.scalars(select(PaymentFact)).one()
    assert (fact.cause, fact.amount_fen, fact.paid_at) == ("bill", 500, NOON)
    assert differences(world) == of(Kind.LOST_NOTIFY, f"{view.order_no}01", Action.REPAIRED)
    assert asked(world) == []


def test_a_bill_row_that_contradicts_the_order_credits_nothing(world: BillWorld) -> None:
    views = [world.prepaid(fen) for fen in (500, 600, 700, 800, 900)]
    rows = [
        row_of(views[0], fen=501),
        row_of(views[1], app_id="wx0000000000000009"),
        row_of(views[2], mch_id="1900000009"),
        row_of(views[3], openid="oSomebodyElse000000000000001"),
        row_of(views[4], currency="USD"),
    ]
    run(world, *rows)
    assert differences(world) == sorted(("AMOUNT_DIFFERS", f"{view.order_no}01", "asked") for view in views)
    assert {world.order(view).status for view in views} == {OrderStatus.PREPAID}


def test_a_payment_that_neither_bill_nor_wechat_knows_is_a_severe_question(world: BillWorld) -> None:
    view = world.credited()
    world.pay.trades.clear()
    run(world)
    assert differences(world) == of(Kind.MISSING_IN_BILL, f"{view.order_no}01", Action.ASKED)
    with world.database.reading() as session:
        item = session.scalars(select(ReviewItem)).one()
    assert (item.order_id, item.amount_fen) == (view.id, 500)
    assert item.facts["wechat_says"] == "no such order"


@pytest.mark.parametrize("changes", [{"fen": 501}, {"transaction_id": "4200other"}])
def test_a_fen_or_a_transaction_that_differs_is_seen(world: BillWorld, changes: dict[str, Any]) -> None:
    view = world.credited()
    run(world, row_of(view, **changes))
    assert differences(world) == of(Kind.AMOUNT_DIFFERS, f"{view.order_no}01", Action.ASKED)


def test_a_row_that_stands_twice_is_seen_and_credited_once(world: BillWorld) -> None:
    view, unknown = world.credited(), world.prepaid(600)
    run(world, row_of(view), row_of(view), row_of(unknown), row_of(unknown))
    assert ("DUPLICATE_ROW", f"{view.order_no}01", "asked") in differences(world)
    assert ("LOST_NOTIFY", f"{unknown.order_no}01", "repaired") in differences(world)
    with world.database.reading() as session:
        assert len(session.scalars(select(PaymentFact)).all()) == 2


def test_numbers_of_another_system_are_one_question_unless_they_are_known(world: BillWorld) -> None:
    view = world.credited()
    rows = [row_of(view), Paid("MEAL0001", "t1", 300), Paid("MEAL0002", "t2", 200), Paid("BOOK01", "t3", 9)]
    result = run(world, *rows, foreign_prefixes=["BOOK"])
    assert differences(world) == [("FOREIGN", "MEAL0001", "listed"), ("FOREIGN", "MEAL0002", "listed")]
    assert asked(world) == [f"FOREIGN:{ON}"]
    assert result.totals["foreign"] == {"rows": 2, "fen": 500}
    assert result.totals["known_foreign"] == {"rows": 1, "fen": 9}
    assert run(world, *rows, foreign_prefixes=["BOOK", "MEAL"]).differences == {}


def test_a_number_that_looks_like_ours_and_is_not_is_asked_about(world: BillWorld) -> None:
    stranger = "r20260310zzzzzzzzzzz01"
    run(world, Paid(stranger, "t1", 500))
    assert differences(world) == of(Kind.FOREIGN, stranger, Action.ASKED)
    assert asked(world) == [f"FOREIGN:{stranger}"]


def test_a_late_credit_is_hastened_and_a_lost_one_asked_about(world: BillWorld) -> None:
    late, lost, parked = world.paid(500), world.paid(600), world.paid(700)
    world.credit_ours(lost)
    with world.database.transaction() as session:
        job = update(OutboxItem).where(OutboxItem.key == parked.order_no, OutboxItem.kind == "credit")
        session.execute(job.values(status=OutboxStatus.PARKED))
        later = update(OutboxItem).where(OutboxItem.key == late.order_no, OutboxItem.kind == "credit")
        session.execute(later.values(next_at=NOON + timedelta(days=9)))
    run(world, *map(row_of, (late, lost, parked)))
    assert differences(world) == sorted(
        [
            ("CREDIT_MISSING", f"c{late.order_no}", "hastened"),
            ("CREDIT_MISSING", f"c{lost.order_no}", "asked"),
            ("CREDIT_MISSING", f"c{parked.order_no}", "asked"),
        ]
    )
    job_now = world.item("credit", late.order_no)
    assert job_now is not None
    assert job_now.next_at == world.clock()


def test_a_credit_of_another_day_is_found_by_asking(world: BillWorld) -> None:
    view = world.credited()
    world.billing.applied.clear()
    assert run(world, row_of(view)).differences == {}
    world.billing.can_find = False
    assert run(world, row_of(view)).differences == {"CREDIT_MISSING": 1}


def test_a_credit_to_another_account_or_of_another_amount_is_asked_about(world: BillWorld) -> None:
    first, second, third = world.credited(500), world.credited(600), world.credited(700)
    world.billing.applied[0] = world.billing.applied[0]._replace(amount_fen=501)
    world.billing.applied[1] = world.billing.applied[1]._replace(account_no="2400101002")
    run(world, *map(row_of, (first, second, third)))
    assert differences(world) == sorted(
        ("CREDIT_DIFFERS", f"c{view.order_no}", "asked") for view in (first, second)
    )


@pytest.mark.parametrize("changes", [{}, {"amount_fen": 9}, {"account_no": "2400101002"}])
def test_a_credit_that_billing_did_twice_is_seen(world: BillWorld, changes: dict[str, Any]) -> None:
    view = world.credited()
    world.billing.applied.append(world.billing.applied[0]._replace(**changes))
    run(world, row_of(view))
    assert differences(world) == of(Kind.DOUBLE_CREDIT, f"c{view.order_no}", Action.ASKED)


def test_a_credit_done_again_on_a_later_day_is_seen(world: BillWorld) -> None:
    world.clock.now = NOON - timedelta(days=1)
    view = world.credited()
    world.billing.at.clear()
    world.next_morning()
    assert run(world).status == ReconStatus.DONE
    assert differences(world) == of(Kind.DOUBLE_CREDIT, f"c{view.order_no}", Action.ASKED)


def test_a_credit_for_which_nothing_was_paid_is_seen(world: BillWorld) -> None:
    unpaid, paid = world.prepaid(500), world.credited(600)
    world.billing.apply(f"c{unpaid.order_no}", unpaid.account_no, 500)
    world.billing.applied.append(CreditLine("till-17", "2400101009", 800))
    run(world, row_of(paid))
    assert differences(world) == of(Kind.CREDIT_UNEXPECTED, f"c{unpaid.order_no}", Action.ASKED)


def test_a_voided_credit_is_not_expected_in_billing_and_asked_about_when_there(world: BillWorld) -> None:
    view = world.paid()
    with world.database.transaction() as session:
        session.execute(update(Credit).values(status=CreditStatus.VOIDED))
    assert run(world, row_of(view)).differences == {}
    world.billing.apply(f"c{view.order_no}", view.account_no, 500)
    assert run(world, row_of(view)).differences == {"CREDIT_UNEXPECTED": 1}


def test_a_billing_that_cannot_be_listed_is_left_out(world: BillWorld) -> None:
    view = world.credited()
    world.billing.can_list = False
    assert run(world, row_of(view)).differences == {}


def test_wrong_totals_are_a_question_of_their_own(world: BillWorld) -> None:
    view = world.credited()
    world.next_morning()
    path = world.bill(row_of(view), order="5.01")
    result = reconcile.run_file(world.services, ON, path)
    assert result.differences == {"TOTALS_DIFFER": 1}
    assert result.totals["bill"]["order"] == 500
    assert result.totals["bill_says"]["order"] == 501


def test_a_run_again_gives_the_same_result_and_asks_nothing_twice(world: BillWorld) -> None:
    lost, wrong = world.prepaid(500), world.credited(600)
    rows = (row_of(lost), row_of(wrong, fen=601), Paid("MEAL01", "t", 1))
    first = run(world, *rows)
    before, questions = differences(world), asked(world)
    world.credit_ours(lost)
    world.billing.apply(f"c{lost.order_no}", lost.account_no, 500)
    second = run(world, *rows)
    with world.database.reading() as session:
        assert len(session.scalars(select(PaymentFact)).all()) == 2
    missing = [one for one in before if one[0] == "CREDIT_MISSING"]
    assert [one for one in before if one not in missing] == differences(world)
    assert asked(world) == questions
    assert second.totals["bill"] == first.totals["bill"]


def test_a_signed_day_is_locked(world: BillWorld) -> None:
    view = world.credited()
    with pytest.raises(Refused):
        sign_off.sign(world.services, on=ON, actor=Actor("会计王"))
    run(world, row_of(view))
    with pytest.raises(Refused):
        sign_off.sign(world.services, on=ON, actor=Actor.from_name("  "))
    sign_off.sign(world.services, on=ON, actor=Actor("会计王"))
    with pytest.raises(DaySigned):
        run(world)
    with pytest.raises(DaySigned):
        reconcile_runs.begin(world.services, ON, reconcile_result.TRADE, None)
    with pytest.raises(DaySigned):
        sign_off.sign(world.services, on=ON, actor=Actor("别人"))
    with world.database.reading() as session:
        result = reconcile_runs.summary_of(session, ON)
        assert result is not None
        notes = list(session.scalars(select(JournalRow.actor).where(JournalRow.what == "recon-signed")))
    assert (result.status, result.signed_by, notes) == (ReconStatus.SIGNED, "会计王", ["会计王"])


def test_a_replaced_run_writes_nothing_more(world: BillWorld) -> None:
    world.next_morning()
    older = reconcile_runs.begin(world.services, ON, reconcile_result.TRADE, None)
    world.clock.forward(seconds=1)
    newer = reconcile_runs.begin(world.services, ON, reconcile_result.TRADE, None)
    with pytest.raises(Conflict):
        older.finish({}, now=world.clock())
    newer.finish({}, now=world.clock())


def test_a_bill_of_another_day_or_of_today_is_refused(world: BillWorld) -> None:
    view = world.credited()
    with pytest.raises(Refused):
        reconcile.run_file(world.services, ON, world.bill(row_of(view)))
    with pytest.raises(Malformed):
        run(world, row_of(view, at=NOON - timedelta(days=3)))
    assert differences(world) == []


def test_a_disaster_asks_a_bounded_number_of_questions(
    world: BillWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_result, "ASKED_MAX", 2)
    monkeypatch.setattr(reconcile_decide, "QUERIES_MAX", 1)
    views: Sequence[OrderView] = [world.credited(100 * n) for n in range(5, 9)]
    world.pay.calls.clear()
    run(world)
    assert len(views) == len(differences(world)) == 4
    assert world.pay.calls.count("query") == 1
    assert len(asked(world)) == 3
    assert asked(world)[-1] == f"more:trade:{ON}"


def test_the_daily_job_does_yesterday_and_what_was_left_over(
    world: BillWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []

    def fake(services: Any, on: Any, **_: Any) -> None:
        if on == ON and len(done) < 2:
            done.append("late")
            raise Unavailable("not ready")
        done.append(on)
        reconcile_runs.begin(services, on, reconcile_result.TRADE, None).finish({}, now=services.clock())

    monkeypatch.setattr(reconcile, "run_daily", fake)
    world.next_morning()
    earlier = ON - timedelta(days=2)
    reconcile_runs.begin(world.services, earlier, reconcile_result.TRADE, None).finish({}, now=world.clock())
    with pytest.raises(Unavailable):
        reconcile.due_job(world.services)
    assert done == [ON - timedelta(days=1), "late"]
    reconcile.due_job(world.services)
    assert done[2:] == [ON]
    reconcile.due_job(world.services)
    assert len(done) == 3
    world.clock.forward(hours=23, minutes=40)
    reconcile.due_job(world.services)
    assert len(done) == 3
    world.clock.forward(minutes=20)
    reconcile.due_job(world.services)
    assert done[3:] == [ON + timedelta(days=1)]


def test_facts_of_a_difference_name_nobody(world: BillWorld) -> None:
    lost, view = world.prepaid(600), world.credited()
    run(world, row_of(replace(lost)), row_of(view, fen=501))
    with world.database.reading() as session:
        told = str([one.facts for one in session.scalars(select(Difference))])
    assert "oPayer" not in told
    assert "*明" not in told
