"""The list for the bank counts as handed out only once its file is written; results that contradict ask."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from models.db.engine import Database
from models.errors import IllegalTransition
from models.payout import PartStatus, PayoutList, PayoutPart
from models.review import ReviewItem, ReviewKind, ReviewStatus
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.payouts.transfer_list import ListRow
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.payments.counter.till import ANNA, BERT, LI, Till
from tests.rig import make_config, toml

EVIDENCE = "银行回单 20260310-17"


@pytest.fixture
def till(sqlite_database: Database) -> Iterator[Till]:
    """20 yuan are off LI's account, and owed."""
    built = Till(sqlite_database)
    built.take()
    built.work()
    view = payouts.request(
        built.services,
        account_no=LI.account_no,
        payee=LI.name,
        actor=ANNA,
        bank_name="某某银行",
        bank_account="6222000012345678",
    )
    payouts.approve(built.services, payout_no=view.payout_no, actor=BERT)
    built.work()
    yield built
    built.check_books()


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
    return CliRunner().invoke(main, ["payouts", *arguments, "--config", str(config)])


def part_of(till: Till) -> PayoutPart:
    with till.database.reading() as session:
        return session.scalars(select(PayoutPart)).one()


def lists_of(till: Till) -> list[PayoutList]:
    return transfer_list.newest_lists(till.services)


@pytest.mark.usefixtures("open_umask")
def test_a_file_that_cannot_be_written_lists_nothing(config: Path, till: Till, tmp_path: Path) -> None:
    """Attack c4."""
    lost = run(config, "bank-list", str(tmp_path / "nowhere" / "x.csv"), "--by", "cw")
    assert (lost.exit_code, "无法写入" in lost.output) == (1, True)
    assert (part_of(till).status, lists_of(till)) == (PartStatus.WITHDRAWN, [])
    path = tmp_path / "x.csv"
    path.touch(mode=0o644)
    written = run(config, "bank-list", str(path), "--by", "cw")
    assert written.exit_code == 0, written.output
    (made,) = lists_of(till)
    assert made.list_no in written.output
    assert (made.rows, made.amount_fen, made.made_by) == (1, 2000, "cw")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for shown in (run(config, "list"), run(config, "lists")):
        assert made.list_no in shown.output
    first = path.read_bytes()
    again = run(config, "bank-list", str(path), "--again", made.list_no, "--by", "cw")
    assert (again.exit_code, made.list_no in again.output, path.read_bytes()) == (0, True, first)
    assert sorted(file.name for file in tmp_path.glob("*x.csv*")) == ["x.csv"]


def test_the_file_is_complete_before_the_parts_count_as_listed(till: Till) -> None:
    seen: list[tuple[str, PartStatus]] = []

    def write(list_no: str, rows: object) -> None:
        del rows
        seen.append((list_no, PartStatus(part_of(till).status)))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        transfer_list.make_list(till.services, actor=BERT, write=write)
    assert [status for _, status in seen] == [PartStatus.WITHDRAWN]
    assert (part_of(till).status, lists_of(till)) == (PartStatus.WITHDRAWN, [])


def test_a_list_whose_commit_fails_leaves_no_file(
    config: Path, till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transfer_list.make_list

    def fails(services: object, *, actor: object, write: object) -> str | None:
        def write_and_fail(list_no: str, rows: list[ListRow]) -> None:
            write(list_no, rows)  # type: ignore[operator]
            raise IllegalTransition("the commit failed")

        return real(services, actor=actor, write=write_and_fail)  # type: ignore[arg-type]

    monkeypatch.setattr(transfer_list, "make_list", fails)
    path = tmp_path / "x.csv"
    failed = run(config, "bank-list", str(path), "--by", "cw")
    assert (failed.exit_code, path.exists(), lists_of(till)) == (1, False, [])
    assert "payouts lists" in failed.output


def result(till: Till, tmp_path: Path, list_no: str | None, word: str) -> transfer_list.Result:
    path = tmp_path / "result.csv"
    path.write_text(f"名单号,编号,结果\n{list_no},{part_of(till).part_no},{word}\n", encoding="utf-8")
    return transfer_list.read_result(till.services, path, actor=BERT)


def only_question(till: Till) -> ReviewItem:
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED)
    with till.database.reading() as session:
        return session.scalars(query).one()


def accept(till: Till) -> None:
    item = only_question(till)
    assert (item.kind, item.amount_fen) == (ReviewKind.PAYOUT_RESULT, 2000)
    reviews.propose(till.services, item.id, action="accept-result", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(till.services, item.id, actor=BERT)


def test_a_payment_that_was_reported_failed_and_then_paid_is_asked_about_and_listed_no_more(
    till: Till, tmp_path: Path
) -> None:
    list_no = transfer_list.make_list(till.services, actor=ANNA)
    assert result(till, tmp_path, list_no, "失败").failed == 1
    for _ in range(2):
        assert len(result(till, tmp_path, list_no, "成功").faults) == 1
    assert transfer_list.make_list(till.services, actor=ANNA) is None
    accept(till)
    assert part_of(till).status == PartStatus.PAID
    assert result(till, tmp_path, list_no, "成功").known == 1


def test_a_success_on_an_earlier_list_is_asked_about(till: Till, tmp_path: Path) -> None:
    """Attack b5: the same part on two lists; the first list's 成功 is not dropped."""
    first = transfer_list.make_list(till.services, actor=ANNA)
    part_no = part_of(till).part_no
    transfer_list.mark_failed(till.services, part_no=part_no, actor=BERT, reason="退票")
    second = transfer_list.make_list(till.services, actor=ANNA)
    assert second != first
    assert "已登记待核对" in result(till, tmp_path, first, "成功").faults[0]
    assert only_question(till).facts["list_no"] == first
    accept(till)
    assert (part_of(till).status, part_of(till).list_no) == (PartStatus.PAID, first)


def test_money_that_the_bank_returns_after_a_success_is_owed_again_by_two(till: Till, tmp_path: Path) -> None:
    list_no = transfer_list.make_list(till.services, actor=ANNA)
    assert result(till, tmp_path, list_no, "成功").paid == 1
    assert len(result(till, tmp_path, list_no, "退票").faults) == 1
    accept(till)
    assert part_of(till).status == PartStatus.WITHDRAWN
    assert transfer_list.make_list(till.services, actor=ANNA) is not None


def test_results_of_lists_that_never_were_ask_nothing(till: Till, tmp_path: Path) -> None:
    transfer_list.make_list(till.services, actor=ANNA)
    assert len(result(till, tmp_path, "L0", "成功").faults) == 1
    with till.database.reading() as session:
        assert list(session.scalars(select(ReviewItem))) == []
