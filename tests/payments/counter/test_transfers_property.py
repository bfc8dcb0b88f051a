"""Any tables in any order, read twice and overlapping, clerks in between: each transfer counts once.

The truth is a set of transfers. Files show some of them, written in some way, between rows that nothing
may come of. Then two operators empty the queue as the truth says, and every account has what was paid.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from models import schema
from models.counter import BankLine, BankStatus, Way
from models.db.engine import Database
from models.values.tables.errors import TableRefused
from payments.counter import bank_list, bank_queue
from payments.counter.bank_queue import NoSuchLine
from payments.counter.steps import ReceiptUsed
from tests.payments.counter.bank_files import SECOND, THIRD, balances, lines, orders, owed
from tests.payments.counter.till import LI, WANG, Till

# The clerk's clock stands at 10 March, and takes what is a week apart for the same money.
FIRST_DAY = date(2026, 3, 6)
PEOPLE = (LI, WANG, None)
# Numbers that programs confuse, and some that several transfers share.
NUMBERS = (
    "000012345678", "12345678", "abc12345", "ABC12345", "B-0001", "B0001",
    "26031100123456789012", "26031100123456700000", "26031100123456789013",
)  # fmt: skip
CONFUSED = dict(zip(NUMBERS, (0, 0, 1, 1, 2, 2, 3, 3, 3), strict=True))
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda number: number,
    "lower case": str.lower,
    "upper case": str.upper,
    "without zeros": lambda number: number.lstrip("0"),
    "without hyphens": lambda number: number.replace("-", ""),
    "rounded": lambda number: number[:15] + "0" * (len(number) - 15) if number.isdecimal() else number,
    "full width": lambda number: number.translate({code: code + 0xFEE0 for code in range(0x30, 0x5B)}),
    "formula": '="{}"'.format,
    "apostrophe": lambda number: f"'{number}",
}
DAYS: dict[str, Callable[[date], str]] = {
    "iso": date.isoformat,
    "slashes": lambda day: f"{day.year}/{day.month}/{day.day}",
    "serial": lambda day: str((day - date(1899, 12, 30)).days),
}
# Nothing may ever come of these, whoever is named in them.
NOISE = (
    "{day},N0000001,借,20.00,人民币,成功,{payer}",
    "{day},N0000002,贷,20.00,USD,成功,{payer}",
    "{day},N0000003,贷,20.00,人民币,失败,{payer}",
    "{day},N0000004,贷,20.00,人民币,处理中,{payer}",
    '{day},N0000005,贷,"20,00",人民币,成功,{payer}',
    "{day},N0000006,贷,99999999,人民币,成功,{payer}",
    "{day},N0000007,贷,2e1,人民币,成功,{payer}",
    "不是日期,N0000008,贷,20.00,人民币,成功,{payer}",
    "{day},2.6E+19,贷,20.00,人民币,成功,{payer}",
    "{day},,贷,20.00,人民币,成功,{payer}",
    "{day},N0000009,贷",
)


@dataclass(frozen=True)
class Real:
    """A transfer that happened."""

    day: date
    number: str
    amount_fen: int
    who: int

    @property
    def payer(self) -> str:
        """Account and name as a list has them."""
        person = PEOPLE[self.who]
        return "," if person is None else f"{person.account_no},{person.name}"


reals = st.builds(
    Real,
    day=st.integers(0, 3).map(lambda days: FIRST_DAY + timedelta(days=days)),
    number=st.sampled_from(NUMBERS),
    amount_fen=st.sampled_from((500, 1000, 2000)),
    who=st.integers(0, 2),
)
# Programs confuse no two of them that happened on one day.
truths = st.lists(
    reals,
    min_size=1,
    max_size=10,
    unique_by=lambda real: (real.day, CONFUSED[real.number], real.amount_fen, real.who),
)
# Which of the transfers, written how; or None for a row that nothing may come of.
shown = st.tuples(st.integers(0, 11), st.sampled_from(sorted(WRITTEN)), st.sampled_from(sorted(DAYS)))
noise = st.tuples(st.sampled_from(NOISE), st.integers(0, 2))
files = st.lists(st.one_of(shown, shown, noise), min_size=1, max_size=8)
clerks = st.tuples(st.integers(0, 11), st.sampled_from([*sorted(WRITTEN), "another"]))
steps = st.lists(st.one_of(files, files, clerks), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transfers") / "template.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.dispose()
    return path


class Bank:
    """The truth, and the counter that learns of it."""

    def __init__(self, till: Till, folder: Path, truth: list[Real]) -> None:
        self.till = till
        self.folder = folder
        self.truth = truth
        self.names = count()

    def do(self, step: object) -> None:
        """A file is read, or a clerk books a transfer."""
        if isinstance(step, tuple):
            self.book(*step)
        else:
            assert isinstance(step, list)
            self.read([self.row(cells) for cells in step])

    def row(self, cells: tuple[object, ...]) -> str:
        """One row of a file."""
        if isinstance(cells[0], str):
            who = PEOPLE[int(str(cells[1]))]
            payer = "," if who is None else f"{who.account_no},{who.name}"
            return cells[0].format(day=FIRST_DAY, payer=payer)
        real = self.truth[int(str(cells[0])) % len(self.truth)]
        number, day = WRITTEN[str(cells[1])](real.number), DAYS[str(cells[2])](real.day)
        quoted = number.replace('"', '""')
        return f'{day},"{quoted}",贷,{real.amount_fen / 100:.2f},人民币,成功,{real.payer}'

    def read(self, rows: list[str]) -> None:
        """Read a file of these rows: every one of them is counted."""
        path = self.folder / f"{next(self.names)}.csv"
        header = "交易日期,流水号,借贷标志,金额,币种,交易状态,学号,姓名"
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        try:
            tried = bank_list.read_list(self.till.services, path, actor=SECOND, dry_run=True)
        except TableRefused:
            # No row of it has a currency or status that is understood.
            assert not any("人民币,成功" in row for row in rows)
            return
        report = bank_list.read_list(self.till.services, path, actor=SECOND)
        note(f"{path.name}: {report}")
        assert tried == report
        counted = report.credited + report.queued + report.returning + report.known + report.rejected
        assert counted == len(rows)
        again = bank_list.read_list(self.till.services, path, actor=SECOND)
        assert (again.known, again.rejected) == (len(rows) - report.rejected, report.rejected)

    def book(self, index: int, written: str) -> None:
        """A clerk books one of the transfers, perhaps under another number; or is refused."""
        real = self.truth[index % len(self.truth)]
        person = PEOPLE[real.who]
        if person is None:
            return
        number = f"T{next(self.names):07d}" if written == "another" else WRITTEN[written](real.number)
        with suppress(ReceiptUsed):
            self.till.take(
                f"A{next(self.names):04d}",
                account_no=person.account_no,
                name=person.name,
                amount_fen=real.amount_fen,
                way=Way.TRANSFER,
                reference=number,
            )

    def paid(self) -> Counter[tuple[str | None, int]]:
        """How often each account was paid each amount, by the truth."""
        return Counter(
            (None if (person := PEOPLE[real.who]) is None else person.account_no, real.amount_fen)
            for real in self.truth
        )

    def booked(self) -> Counter[tuple[str | None, int]]:
        """The same as it is booked or on its way back."""
        returned: list[tuple[str | None, int]] = [(None, fen) for _, fen in owed(self.till)]
        return Counter([*orders(self.till), *returned])

    def empty_the_queue(self) -> None:
        """Operators decide as the truth says; some decisions wait for others."""
        for _ in range(len(lines(self.till, BankStatus.QUEUED))):
            for line in lines(self.till, BankStatus.QUEUED):
                with suppress(ReceiptUsed):
                    self.decide(line)
        assert lines(self.till, BankStatus.QUEUED) == []

    def decide(self, line: BankLine) -> None:
        """Decide one of them. Raises: ReceiptUsed - a clerk has booked its number, for nobody knows whom."""
        paid, money = self.paid(), (line.account_no or None, line.amount_fen)
        if self.booked()[money] >= paid[money]:
            self.twice(bank_queue.accept_booked, line)
        elif line.account_no:
            self.assign(line)
        else:
            bank_queue.send_back(self.till.services, line_id=line.id, actor=SECOND)

    def assign(self, line: BankLine) -> None:
        """Credit it, unless a clerk has booked its number for the same payer: then it is that money."""
        person = LI if line.account_no == LI.account_no else WANG
        try:
            self.twice(bank_queue.assign, line, account_no=person.account_no, name=person.name)
        except ReceiptUsed:
            self.twice(bank_queue.accept_booked, line)

    def twice(self, decide: object, line: BankLine, **details: str) -> None:
        """Two operators decide; where one is enough, the other finds it decided."""
        assert callable(decide)
        decide(self.till.services, line_id=line.id, actor=SECOND, **details)
        with suppress(NoSuchLine):
            decide(self.till.services, line_id=line.id, actor=THIRD, **details)


def check(template: Path, truth: list[Real], story: list[object]) -> None:
    """Let a story happen, then all that is true be read and decided."""
    with TemporaryDirectory(dir=template.parent) as folder:
        path = Path(folder) / "till.db"
        shutil.copy(template, path)
        database = Database(f"sqlite:///{path}")
        try:
            tell(Bank(Till(database), Path(folder), truth), story)
        finally:
            database.dispose()


def tell(bank: Bank, story: list[object]) -> None:
    """Every promise after every step, and the final books."""
    for step in story:
        bank.do(step)
        # What is booked by itself was paid, whatever is still to be read or decided.
        assert not bank.booked() - bank.paid()
    bank.do([(index, "as it is", "iso") for index in range(len(bank.truth))])
    assert not bank.booked() - bank.paid()
    bank.empty_the_queue()
    bank.till.work()
    assert bank.booked() == bank.paid()
    paid = [sum(real.amount_fen for real in bank.truth if PEOPLE[real.who] is who) for who in (LI, WANG)]
    assert list(balances(bank.till)) == paid
    bank.till.check_books()


def quietly(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        print_blob=True,
        # A story takes a second: the blob tells it again, a shorter one is not looked for.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@quietly(15)
@given(truths, steps)
def test_each_transfer_counts_once_whatever_is_read_in_whatever_order(
    template: Path, truth: list[Real], story: list[object]
) -> None:
    check(template, truth, story)


@pytest.mark.long
@quietly(150)
@given(truths, steps)
def test_each_transfer_counts_once_in_many_stories(
    template: Path, truth: list[Real], story: list[object]
) -> None:
    check(template, truth, story)
