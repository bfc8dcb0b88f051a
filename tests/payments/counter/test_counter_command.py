"""`campusnet counter`: what a clerk types, and what is printed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.journal import JournalRow
from sandbox.credentials import Credentials
from tests.payments.counter.till import LI, WANG, Till
from tests.rig import make_config, toml


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


def counter(config: Path, *arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["counter", *arguments, "--config", str(config)], input=typed)


def book(config: Path, receipt_no: str, amount: str, name: str = LI.name) -> Result:
    given = ["--receipt", receipt_no, "--amount", amount, "--by", "anna"]
    return counter(config, "book", LI.account_no, *given, typed=f"{name}\n")


def test_a_clerk_s_day(config: Path, till: Till) -> None:
    printed = book(config, "A0001", "20")
    assert printed.exit_code == 0, printed.output
    assert "网费充值收据" in printed.output
    for prints, again in enumerate(
        (book(config, "A0001", "20"), counter(config, "receipt", "A0001", "--by", "bert")), 2
    ):
        mark = f"（补打，第 {prints} 次打印）"
        assert mark in again.output.splitlines()[0]
        assert again.output.replace(mark, "") == printed.output
    assert "待退回款项凭单" in book(config, "A0002", "5.01").output
    assert "tA0002" in counter(config, "returns").output
    back = counter(config, "return", "tA0002", "--evidence", "签收单 17", "--by", "anna")
    assert back.exit_code == 0, back.output
    assert counter(config, "returns").output == "没有待退回的款项\n"
    assert "应有现金 20.00 元" in counter(config, "day", "--by", "anna").output
    closed = counter(config, "close", "--counted", "19.50", "--by", "anna")
    assert "差额 -0.50 元" in closed.output
    assert counter(config, "close", "--counted", "19.50", "--by", "anna").output == closed.output
    other = counter(config, "close", "--counted", "20", "--by", "anna")
    assert (other.exit_code, "E-DAY" in other.output) == (1, True)
    refused = book(config, "A0003", "20")
    assert (refused.exit_code, "E-DAY" in refused.output) == (1, True)
    till.clock.forward(days=3650)
    till.work()
    assert till.balance_fen() == 2000


def test_a_wrong_name_is_one_line_without_the_right_one(config: Path) -> None:
    refused = book(config, "A0001", "20", WANG.name)
    assert (refused.exit_code, "E-NAME" in refused.output) == (1, True)
    assert LI.name not in refused.output
    assert "Traceback" not in refused.output


def test_a_bank_list_is_tried_read_and_cleared(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        f"流水号,金额,学号,姓名\nB0000001,20,{LI.account_no},{LI.name}\n"
        f"B0000002,20,{LI.account_no},{WANG.name}\nB0000003,20,{LI.account_no},{WANG.name}\n,20,,\n",
        encoding="utf-8",
    )
    tried = counter(config, "bank", "import", str(path), "--dry-run", "--by", "bert")
    assert "试运行：入账 1，待人工核对 2，待退回 0，此前已处理 0，无法处理 1" in tried.output
    done = counter(config, "bank", "import", str(path), "--by", "bert")
    assert "入账 1，待人工核对 2，待退回 0，此前已处理 0，无法处理 1" in done.output
    first, second = (line.split()[0] for line in counter(config, "bank", "queue").output.splitlines())

    def assigned(operator: str) -> str:
        given = [first, WANG.account_no, "--by", operator]
        return counter(config, "bank", "assign", *given, typed=f"{WANG.name}\n").output

    for operator in ("bert", " BERT"):
        assert "等待另一位同事" in assigned(operator)
    assert "网费充值收据" in assigned("anna")
    assert "待退回款项凭单" in counter(config, "bank", "send-back", second, "--by", "bert").output
    assert counter(config, "bank", "accept", second, "--by", "bert").exit_code == 1
    assert counter(config, "bank", "queue").output == "没有待人工核对的转账\n"


def test_a_transfer_of_a_clerk_is_listed_until_a_list_confirms_it(config: Path, tmp_path: Path) -> None:
    given = ["--way", "transfer", "--reference", "B0000001", "--amount", "20", "--receipt", "A0001"]
    booked = counter(config, "book", LI.account_no, "--by", "anna", *given, typed=f"{LI.name}\n")
    assert "网费充值收据" in booked.output
    listed = counter(config, "unconfirmed").output
    assert [word in listed for word in ("A0001", "B0000001", "20.00", "anna", "逾期")] == [True] * 4 + [False]
    path = tmp_path / "list.csv"
    today = f"{datetime.now(CAMPUS_ZONE):%Y-%m-%d}"
    rows = [
        f"{today},b0000001,20,{LI.account_no},{LI.name}",
        f"{today},B0000001,20,{LI.account_no},{LI.name}",
    ]
    path.write_text("\n".join(["交易日期,流水号,金额,学号,姓名", *rows]), encoding="utf-8")
    done = counter(config, "bank", "import", str(path), "--by", "bert", "--source", "6222 0001")
    assert "入账 0，待人工核对 1，待退回 0，此前已处理 1，无法处理 0" in done.output
    assert counter(config, "unconfirmed").output == "没有等待银行清单确认的转账\n"
    waiting = counter(config, "bank", "queue").output
    assert "可能是窗口登记的转账" in waiting.replace("已登记", "登记")
    assert "收据 A0001" in waiting
    number = waiting.split()[0]
    assert "由您经办" in counter(config, "bank", "accept", number, "--by", "ＡＮＮＡ").output
    assert "不再入账" in counter(config, "bank", "accept", number, "--by", "bert").output


def test_a_receipt_is_printed_again_under_the_name_of_who_does_it(config: Path, till: Till) -> None:
    book(config, "A0001", "20")
    assert counter(config, "receipt", "A0001").exit_code == 2
    assert counter(config, "receipt", "A0001", "--by", "bert").exit_code == 0
    with till.database.reading() as session:
        (row,) = session.scalars(select(JournalRow).where(JournalRow.what == "receipt-reprinted"))
    assert (row.actor, row.facts["receipt_no"], row.facts["prints"]) == ("bert", "A0001", 2)
