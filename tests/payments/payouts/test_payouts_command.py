"""`campusnet payouts`: what two operators and finance type."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from models.db.engine import Database
from sandbox.credentials import Credentials
from tests.payments.counter.till import LI, WANG, Till
from tests.rig import make_config, toml


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    made = Till(sqlite_database)
    made.take()
    made.work()
    return made


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


def run(config: Path, *arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["payouts", *arguments, "--config", str(config)], input=typed)


def asked(config: Path, name: str = LI.name) -> Result:
    typed = f"{name}\n6222000012345678\n"
    return run(config, "request", LI.account_no, "--bank", "某某银行", "--by", "anna", typed=typed)


def test_from_the_preview_to_the_bank(config: Path, till: Till, tmp_path: Path) -> None:
    shown = run(config, "preview", LI.account_no)
    assert "可退 20.00 元" in shown.output
    assert "银行名单 20.00 元" in shown.output
    wanted = asked(config)
    assert wanted.exit_code == 0, wanted.output
    assert "6222000012345678" not in wanted.output
    number = wanted.output.split()[0]
    assert run(config, "approve", number, "--by", "anna").exit_code == 1
    assert number in run(config, "list", "--waiting").output
    assert run(config, "approve", number, "--by", "bert").exit_code == 0
    assert run(config, "list", "--waiting").output == ""
    till.clock.forward(days=3650)
    till.work()
    assert till.balance_fen() == 0
    path = tmp_path / "list.csv"
    written = run(config, "bank-list", str(path), "--by", "bert")
    assert "1 笔，20.00 元" in written.output
    assert "没有待付的退费" in run(config, "bank-list", str(tmp_path / "no.csv"), "--by", "bert").output
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, row = list(csv.reader(file))
    assert header[-1] == "结果"
    assert (row[3], row[4], row[5].strip(), row[6]) == (LI.name, "某某银行", "6222000012345678", "20.00")
    first = path.read_bytes()
    again = run(config, "bank-list", str(path), "--again", row[0], "--by", "bert")
    assert (again.exit_code, path.read_bytes()) == (0, first)
    with path.open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows([header, [*row[:-1], "失败"]])
    assert "失败 1" in run(config, "bank-result", str(path), "--by", "bert").output
    card = ["--bank", "另一银行", "--by", "bert"]
    assert run(config, "card", row[1], *card, typed="\n6222000099998888\n").exit_code == 0
    assert "另一位同事" in run(config, "bank-list", str(path), "--by", "bert").output
    assert "1 笔" in run(config, "bank-list", str(path), "--by", "anna").output
    assert run(config, "failed", row[1], "--reason", "退票", "--by", "bert").exit_code == 0
    assert run(config, "paid", row[1], "--by", "bert").exit_code == 1
    assert "1 笔" in run(config, "bank-list", str(path), "--by", "anna").output
    assert run(config, "paid", row[1], "--by", "bert").exit_code == 0
    assert "PAID" in run(config, "list").output


def test_a_wrong_name_and_a_rejection_are_single_lines(config: Path) -> None:
    refused = asked(config, WANG.name)
    assert (refused.exit_code, "E-NAME" in refused.output, LI.name in refused.output) == (1, True, False)
    number = asked(config).output.split()[0]
    assert "REJECTED" in run(config, "reject", number, "--by", "anna").output
    assert run(config, "approve", "p0", "--by", "bert").exit_code == 1


@pytest.mark.parametrize("name", ["=1+1", "@cmd", "-2"])
def test_no_cell_of_the_list_is_a_formula(config: Path, till: Till, tmp_path: Path, name: str) -> None:
    typed = f"{LI.name}\n6222000012345678\n"
    asked_for = run(config, "request", LI.account_no, "--bank", name, "--by", "anna", typed=typed)
    number = asked_for.output.split()[0]
    run(config, "approve", number, "--by", "bert")
    till.clock.forward(days=3650)
    till.work()
    path = tmp_path / "list.csv"
    run(config, "bank-list", str(path), "--by", "bert")
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1][4] == f"'{name}"
