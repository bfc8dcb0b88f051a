"""The bank's answer to a payout list: only what is certain changes a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from models.payout import PartStatus
from models.values.tables.errors import TableRefused
from payments.payouts import transfer_list as payout_list
from payments.payouts.bank_results import read_bank_results
from payments.payouts.transfer_list import Result
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.payouts.payout_world import ACCOUNT, NAME, PayoutWorld
from tests.payments.refunds.refund_world import BERT

HEADER = "名单号,编号,学号,户名,开户行,银行卡号,金额,结果"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@dataclass
class Listed:
    """20 yuan of the first account on a list for the bank."""

    world: PayoutWorld
    folder: Path
    list_no: str
    part_no: str

    def row(self, result: str, *, amount: str = "20.00", payee: str = NAME, account_no: str = ACCOUNT) -> str:
        """A row as the bank sends it back."""
        bank = "某某银行,\t6222000012345678"
        return f"{self.list_no},{self.part_no},{account_no},{payee},{bank},{amount},{result}"

    def read(self, *rows: str, header: str = HEADER) -> Result:
        """Read an answer of these rows."""
        path = self.folder / "result.csv"
        path.write_text("\n".join([header, *rows, ""]), encoding="gb18030")
        return payout_list.read_result(self.world.services, path, actor=BERT)

    @property
    def status(self) -> PartStatus:
        """Of the part."""
        return self.world.part(self.part_no).status


@pytest.fixture
def listed(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Listed]:
    world = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    world.cash(2000)
    part_no = world.agreed().parts[0].part_no
    world.work()
    list_no = payout_list.make_list(world.services, actor=BERT)
    assert list_no is not None
    yield Listed(world, tmp_path, list_no, part_no)
    world.check_books()
    world.close()


@pytest.mark.parametrize(("word", "status"), [("成功", PartStatus.PAID), ("退票", PartStatus.WITHDRAWN)])
def test_what_is_the_same_as_on_the_list_is_taken_once(listed: Listed, word: str, status: PartStatus) -> None:
    result = listed.read(listed.row(word))
    assert (result.paid, result.failed, result.faults) == (word == "成功", word != "成功", [])
    assert listed.status == status
    again = listed.read(listed.row(word), listed.row(word))
    assert (again.known, again.faults) == (2, [])


@pytest.mark.parametrize("word", ["", "成功？", "未知", "处理中", "已冲正", "OK吗", "部分成功", "1"])
def test_a_result_that_is_not_certain_is_a_row_error(listed: Listed, word: str) -> None:
    result = listed.read(listed.row("成功", amount="21.00"), listed.row(word))
    assert (result.paid, result.failed, len(result.faults)) == (0, 0, 2)
    assert result.faults[1].startswith("第 3 行“结果”：")
    assert listed.status == PartStatus.LISTED


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"amount": "20.01"}, "金额"),
        ({"amount": '"2,0.00"'}, "金额"),
        ({"amount": ""}, "金额"),
        ({"amount": "-20.00"}, "金额"),
        ({"payee": "王明"}, "户名"),
        ({"payee": ""}, "户名"),
        ({"payee": f"{NAME}\U00031350"}, "户名"),
        ({"account_no": "2400101099"}, "学号"),
        ({"account_no": "2.4001E+09"}, "学号"),
    ],
)
@pytest.mark.parametrize("word", ["成功", "失败"])
def test_another_amount_payee_or_account_is_a_row_error(
    listed: Listed, changes: dict[str, str], column: str, word: str
) -> None:
    result = listed.read(listed.row(word, **changes))
    assert (result.paid, result.failed, len(result.faults)) == (0, 0, 1)
    assert result.faults[0].startswith(f"第 2 行“{column}”：")
    assert listed.status == PartStatus.LISTED


@pytest.mark.parametrize("words", [("成功", "失败"), ("失败", "成功"), ("成功", "失败", "成功")])
def test_rows_that_contradict_each_other_are_all_errors(listed: Listed, words: tuple[str, ...]) -> None:
    result = listed.read(*(listed.row(word) for word in words))
    assert (result.paid, result.failed, len(result.faults)) == (0, 0, len(words))
    assert listed.status == PartStatus.LISTED


def test_numbers_that_are_not_known_are_row_errors(listed: Listed) -> None:
    other_list = listed.row("成功").replace(listed.list_no, "L20260310-00000000")
    other_part = listed.row("成功").replace(listed.part_no, "x")
    result = listed.read(other_list, other_part)
    assert (result.paid, len(result.faults)) == (0, 2)
    assert listed.status == PartStatus.LISTED


def test_a_success_with_a_reason_for_failing_is_a_row_error(listed: Listed) -> None:
    header = f"{HEADER},失败原因"
    assert len(listed.read(f"{listed.row('成功')},户名不符", header=header).faults) == 1
    assert listed.read(f"{listed.row('失败')},户名不符", header=header).failed == 1
    assert listed.world.part(listed.part_no).last_error == "失败 户名不符"


def test_another_currency_is_a_row_error_and_a_strange_column_refuses_the_file(listed: Listed) -> None:
    result = listed.read(f"{listed.row('成功')},USD", header=f"{HEADER},币种")
    assert (result.paid, len(result.faults)) == (0, 1)
    with pytest.raises(TableRefused, match="冲正标志"):
        listed.read(f"{listed.row('成功')},是", header=f"{HEADER},冲正标志")
    assert listed.status == PartStatus.LISTED


def test_the_answer_may_be_a_spreadsheet(listed: Listed, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(HEADER.split(","))
    sheet.append([listed.list_no, listed.part_no, ACCOUNT, NAME, "某某银行", "6222000012345678", 20, "成功"])
    path = tmp_path / "result.xlsx"
    book.save(path)
    assert [row.new for row in read_bank_results(listed.world.services, path).rows] == [PartStatus.PAID]
    assert payout_list.read_result(listed.world.services, path, actor=BERT).paid == 1
