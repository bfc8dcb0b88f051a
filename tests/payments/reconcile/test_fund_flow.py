"""A month of fund-flow bills against our books: what is hidden is found, and nothing is invented."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.fund_flow import KINDS, write_csv
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import Malformed, Refused, Unavailable
from models.review import ReviewItem
from models.statement import ReconStatus
from models.values.actor import Actor
from payments.reconcile import monthly, runs, sign_off
from payments.reconcile.result import FUNDFLOW, FundKind
from payments.reconcile.runs import DaySigned
from tests.payments.reconcile.fund_cases import (
    CASES,
    CASES_A_MONTH,
    MARCH,
    agrees,
    fees_agree,
    hide,
    income_missing,
    income_twice,
    income_unknown,
    known_foreign,
    on,
    over,
    refund_differs,
    refund_missing,
    refund_unknown,
    run,
    withdrawal,
)
from tests.payments.reconcile.fund_maker import FundWorld, fund_world, write_flow

APRIL = date(2026, 4, 1)


@pytest.fixture
def world(sqlite_database: Database, tmp_path: Path) -> FundWorld:
    return fund_world(sqlite_database, tmp_path)


def asked(world: FundWorld) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(ReviewItem)) or 0


@pytest.mark.parametrize("first", range(0, len(CASES), CASES_A_MONTH))
def test_each_hidden_difference_is_found_and_none_invented(world: FundWorld, first: int) -> None:
    expected = hide(world, CASES[first : first + CASES_A_MONTH], 4)
    result = run(world)
    assert world.found(MARCH) == expected
    assert sum(result.differences.values()) == len(expected)
    assert result.totals["closing_fen"] is not None


def test_many_at_once_and_again_give_the_same_and_ask_nothing_twice(world: FundWorld) -> None:
    cases = [income_missing, income_unknown, refund_missing, refund_unknown, refund_differs, income_twice]
    expected = hide(world, cases, 4)
    first = run(world)
    assert world.found(MARCH) == expected
    questions = asked(world)
    assert questions == sum(action == "asked" for _, _, action in expected)
    assert run(world) == first
    assert world.found(MARCH) == expected
    assert asked(world) == questions


def test_the_sums_of_the_month_are_exact(world: FundWorld) -> None:
    world.opening_fen = 5
    hide(world, [agrees, fees_agree, withdrawal, known_foreign], 3)
    totals = run(world).totals
    assert totals["opening_fen"] == 5
    assert totals["income"] == {"rows": 5, "fen": 1000 + 1100 + 1200 + 1300 + 300}
    assert totals["refunds"] == totals["our_refunds"] == {"rows": 2, "fen": 900 + 100}
    assert totals["ours"] == {"rows": 4, "fen": 4600}
    assert (totals["fees_fen"], totals["withdrawn"]["fen"]) == (4, 1200)
    assert totals["closing_fen"] == 5 + 4900 - 1000 - 4 - 1200
    assert totals["trade"] == {"settled": 4900, "refunded": 1000, "fee": 4000}
    assert len(totals["days"]) == 31


def test_fees_that_the_trade_bills_do_not_have_are_a_question(world: FundWorld) -> None:
    hide(world, [fees_agree], 1)
    world.today.fee += 1000
    run(world)
    assert world.found(MARCH) == {("FUND_FEES_DIFFER", "2026-03", "asked")}


def test_another_system_is_one_question_a_month(world: FundWorld) -> None:
    world.day(on(3))
    view = world.took(500)
    row = world.income(view)
    for number in range(3):
        world.today.settled += 100
        world.rows.append(replace(row, fen=100, business_no="1", flow_no="1", voucher=f"MEAL{number}"))
    world.today.refunded += 30
    world.rows.append(replace(row, business="退款", fen=-30, business_no="2", flow_no="1", voucher="MB1"))
    result = run(world)
    assert world.found(MARCH) == {("FUND_FOREIGN", "2026-03", "asked")}
    assert result.totals["foreign"]["incomes"]["rows"] == 3
    assert result.totals["foreign"]["refunds"]["fen"] == 30


def test_a_business_without_a_name_of_ours_is_one_question(world: FundWorld) -> None:
    world.day(on(3))
    row = world.income(world.took(500))
    world.rows += [replace(row, business="分账", fen=-fen, voucher="s") for fen in (10, 20)]
    run(world)
    assert world.found(MARCH) == {("FUND_OTHER_BUSINESS", "2026-03:分账", "asked")}


def test_days_that_were_not_reconciled_are_one_question(world: FundWorld) -> None:
    hide(world, [agrees, agrees], 5)
    world.clock.now = datetime(2026, 4, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    world.reconciled()
    world.run(MARCH)
    (found,) = world.differences(MARCH)
    assert (found.kind, found.action) == ("FUND_DAY_OPEN", "asked")
    # The first daily result is of the 2nd: the 1st was before our time.
    assert len(found.facts["days"]) == 31 - 1 - 2


def test_a_payment_of_the_last_minutes_waits_for_the_next_month(world: FundWorld) -> None:
    world.day(on(31), hour=23)
    world.clock.forward(minutes=59)
    number = f"{(view := world.took(500)).order_no}01"
    run(world)
    assert world.found(MARCH) == {("FUND_INCOME_MISSING", number, "wait")}
    assert asked(world) == 0
    world.day(APRIL, hour=0)
    world.income(view)
    world.clock.now = datetime(2026, 5, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    world.reconciled()
    world.run(APRIL)
    assert ("FUND_OTHER_DAY", number, "none") in world.found(APRIL)
    assert world.found(MARCH) == {("FUND_INCOME_MISSING", number, "none")}
    world.rows.clear()
    world.run(MARCH)
    assert world.found(MARCH) == set()


def test_the_month_goes_on_from_what_the_month_before_left(world: FundWorld) -> None:
    hide(world, [agrees], 1)
    run(world)
    world.rows.clear()
    world.opening_fen = 4
    world.day(APRIL)
    world.income(world.took(500))
    world.clock.now = datetime(2026, 5, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    world.run(APRIL)
    assert ("FUND_OPENING_DIFFERS", "2026-04-01", "asked") in world.found(APRIL)


def test_a_signed_month_is_locked(world: FundWorld) -> None:
    hide(world, [income_missing], 1)
    over(world)
    with pytest.raises(Refused, match="该月"):
        sign_off.sign(world.services, on=MARCH, actor=Actor("会计王"), kind=FUNDFLOW)
    result = run(world)
    # Its difference is an open question, so it takes two operators.
    assert not sign_off.sign(world.services, on=MARCH, actor=Actor("出纳李"), kind=FUNDFLOW).signed
    with pytest.raises(sign_off.SecondSignatureNeeded):
        sign_off.sign(world.services, on=MARCH, actor=Actor.from_name("出纳 李"), kind=FUNDFLOW)
    assert sign_off.sign(world.services, on=MARCH, actor=Actor("会计王"), kind=FUNDFLOW).signed
    with pytest.raises(DaySigned, match="该月"):
        world.run(MARCH)
    with world.database.reading() as session:
        kept = runs.summary_of(session, MARCH, FUNDFLOW)
        assert kept is not None
        # The day of that date is another thing.
        assert runs.summary_of(session, MARCH) != kept
    assert (kept.status, kept.signers, kept.totals) == (
        ReconStatus.SIGNED,
        ("出纳李", "会计王"),
        result.totals,
    )


def test_a_bill_of_another_month_or_twice_is_refused_and_leaves_the_result(world: FundWorld) -> None:
    hide(world, [agrees], 1)
    result = run(world)
    (path,) = world.bills()
    with pytest.raises(Malformed):
        monthly.run_files(world.services, date(2026, 2, 1), [path])
    with pytest.raises(Refused):
        monthly.run_files(world.services, MARCH, [path, write_flow(world.folder / "again", world.rows)])
    with world.database.reading() as session:
        assert runs.summary_of(session, MARCH, FUNDFLOW) == result


def test_a_month_that_is_not_over_is_refused(world: FundWorld) -> None:
    world.clock.now = datetime(2026, 3, 31, 23, 59, tzinfo=CAMPUS_ZONE)
    with pytest.raises(Refused, match="已经结束"):
        monthly.run_files(world.services, MARCH, [])


def test_the_job_waits_for_daily_results_until_the_fifth_and_does_each_month_once(
    world: FundWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[date] = []

    def run_month(_services: object, month: date, **_: object) -> None:
        done.append(month)

    monkeypatch.setattr(monthly, "run_month", run_month)
    world.clock.now = datetime(2026, 4, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    monthly.due_job(world.services)
    assert done == [], "nothing was ever reconciled"
    world.day(on(30))
    world.clock.now = datetime(2026, 4, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    world.reconciled()
    with pytest.raises(Unavailable, match="2026-03-31"):
        monthly.due_job(world.services)
    assert done == []
    world.clock.forward(days=4)
    monthly.due_job(world.services)
    assert done == [MARCH]
    world.run(MARCH)
    monthly.due_job(world.services)
    assert done == [MARCH]


def test_every_kind_has_words_for_finance_and_no_cell_runs_as_a_formula(world: FundWorld) -> None:
    assert set(KINDS) == set(FundKind)
    hide(world, [income_missing, refund_differs], 3)
    result = replace(run(world), signed_by="=HYPERLINK(1)")
    file = io.StringIO()
    write_csv(file, result, iter(world.differences(MARCH)))
    rows = list(csv.reader(io.StringIO(file.getvalue())))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert ["签字", "'=HYPERLINK(1)"] in rows
    assert rows[2][0] == "2026-03-02"
    assert rows[32][0] == "合计"
