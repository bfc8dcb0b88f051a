"""`campusnet accounts`: each step by its own operator, each refusal in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from models.db.engine import Database
from models.review import ReviewItem, ReviewKind, ask_person
from sandbox.credentials import Credentials
from tests.builders import NOON
from tests.payments.counter.till import LI, Till
from tests.rig import make_config, toml

EVIDENCE = ("--evidence", "工单 20260310-17")


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


@pytest.fixture
def config(till: Till, tmp_path: Path, credentials: Credentials) -> Path:
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=till.database.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    return toml(made, tmp_path)


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["accounts", *arguments, "--config", str(config)])


def test_an_entry_by_two_operators(config: Path, till: Till) -> None:
    wanted = ("adjust", "request", LI.account_no, "--amount", "5", "--reason", "断网补偿", *EVIDENCE)
    asked = run(config, *wanted, "--by", "anna")
    assert asked.exit_code == 0, asked.output
    number = asked.output.split()[0]
    assert number in run(config, "adjust", "list", "--waiting").output
    same = run(config, "adjust", "approve", number, "--by", "An na")
    assert (same.exit_code, "E-TWO" in same.output) == (1, True)
    assert run(config, "adjust", "approve", number, "--by", "bert").exit_code == 0
    assert run(config, "adjust", "reject", number, "--by", "bert").exit_code == 1
    till.clock.forward(days=3650)
    till.work()
    assert till.balance_fen() == 500
    assert "DONE" in run(config, "adjust", "list").output


def test_the_same_request_again_is_the_same_entry_while_it_waits(config: Path) -> None:
    wanted = ("adjust", "request", LI.account_no, "--amount", "5", "--reason", "断网补偿", *EVIDENCE)
    asked = run(config, *wanted, "--by", "anna")
    assert run(config, *wanted, "--by", "anna").output == asked.output
    assert run(config, *wanted, "--by", "bert").output == asked.output
    assert len(run(config, "adjust", "list").output.splitlines()) == 1
    other = run(config, *wanted[:4], "6", *wanted[5:], "--by", "anna").output
    assert run(config, "adjust", "reject", asked.output.split()[0], "--by", "anna").exit_code == 0
    new = run(config, *wanted, "--by", "anna").output
    assert len({line.split()[0] for line in (asked.output, other, new)}) == 3


def test_an_account_is_closed_by_two_operators(config: Path) -> None:
    assert run(config, "close", LI.account_no, "--by", "anna").exit_code == 0
    assert LI.account_no in run(config, "closings").output
    assert "E-TWO" in run(config, "approve-close", LI.account_no, "--by", "ANNA").output
    assert run(config, "reject-close", LI.account_no, "--by", "anna").exit_code == 0
    assert run(config, "close", LI.account_no, "--by", "anna").exit_code == 0
    assert run(config, "approve-close", LI.account_no, "--by", "bert").exit_code == 0
    assert run(config, "close", LI.account_no, "--by", "anna").exit_code == 1
    assert run(config, "closings").output == "没有待批准的销户申请\n"
    assert run(config, "adjust", "list").output == "没有调账\n"


@pytest.mark.parametrize("amount", [("--amount", "-3"), ("--amount=-3",), ("--amount", "－3.00元")])
def test_an_entry_may_take_money_off(config: Path, amount: tuple[str, ...]) -> None:
    asked = run(
        config, "adjust", "request", LI.account_no, *amount, "--reason", "多补", *EVIDENCE, "--by", "anna"
    )
    assert asked.exit_code == 0, asked.output
    assert asked.output.split()[2] == "-3.00"


@pytest.mark.parametrize("amount", ["--3", "-+3", "+3", "-", "3-"])
def test_an_entry_takes_one_leading_minus_and_no_other_sign(config: Path, amount: str) -> None:
    asked = run(
        config,
        *("adjust", "request", LI.account_no, f"--amount={amount}", "--reason", "多补", *EVIDENCE),
        *("--by", "anna"),
    )
    assert asked.exit_code == 2, asked.output


@pytest.mark.parametrize(
    ("command", "told"), [("written-off", "没有核销或挂账的款项\n"), ("list", "没有待办\n")]
)
def test_an_empty_list_of_the_review_queue_says_so(config: Path, command: str, told: str) -> None:
    shown = CliRunner().invoke(main, ["review", command, "--config", str(config)])
    assert (shown.exit_code, shown.output) == (0, told)


def test_the_review_queue_answers_in_chinese(config: Path, till: Till) -> None:
    with till.database.transaction() as session:
        none = {"order_id": None, "amount_fen": None}
        ask_person(session, ReviewKind.BOOKS_WRONG, "journal", **none, now=NOON, check="journal")
        item = session.scalars(select(ReviewItem)).one().id
    wanted = ["review", "propose", str(item), "dismiss", *EVIDENCE, "--as", "anna", "--config", str(config)]
    assert "待另一人确认" in CliRunner().invoke(main, wanted).output
    agreed = CliRunner().invoke(
        main, ["review", "approve", str(item), "--as", "bert", "--config", str(config)]
    )
    assert (agreed.exit_code, agreed.output) == (0, "已处理\n")
