"""Lines of the fund-flow bill (left) and of our books (right), and what is said about both kinds of them.

All have three fields: the number, "day|note|WeChat's number", fen. A row that stands on a day next door is
no trouble: WeChat books when the money moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from payments.reconcile.piles import Unequal
from payments.reconcile.result import Action, Finding, FundKind

MARK = "|"


@dataclass(frozen=True)
class Line:
    """A line taken apart; `note` is what a line of ours says behind its day."""

    number: str
    wechat_no: str
    on: date
    fen: int
    note: str = ""

    @classmethod
    def of(cls, line: bytes) -> Line:
        """From the text of a pile."""
        number, middle, fen = line.decode().rsplit("\t", 2)
        on, note, wechat_no = middle.split(MARK, 2)
        return cls(number, wechat_no, date.fromisoformat(on), int(fen), note)

    def text(self) -> bytes:
        """For a pile."""
        return f"{self.number}\t{self.on}{MARK}{self.note}{MARK}{self.wechat_no}\t{self.fen}".encode()

    def same_money(self, other: Line) -> bool:
        """Whether both are of the same number at WeChat and the same sum."""
        return (self.wechat_no, self.fen) == (other.wechat_no, other.fen)

    def words(self) -> dict[str, object]:
        """For the facts of a finding."""
        return {"wechat_no": self.wechat_no, "on": str(self.on), "fen": self.fen}


@dataclass(frozen=True)
class Whose:
    """The order a row belongs to, if it is one of ours."""

    order_id: int | None = None
    order_no: str | None = None


@dataclass
class Explained:
    """What the bill of a day has more (or less) than it should, in fen, by rows that we know of.

    `moved`: booked on a day next door, no trouble. `asked`: a person is asked about the row.
    """

    moved: Counter[date] = field(default_factory=Counter)
    asked: Counter[date] = field(default_factory=Counter)


def first(lines: list[bytes]) -> Line | None:
    """The first of them, taken apart."""
    return Line.of(lines[0]) if lines else None


def asked(kind: FundKind, line: Line, whose: Whose, **facts: object) -> Finding:
    """A question for a person about this line."""
    return _finding(kind, line, whose, Action.ASKED, **facts)


def twice(one: Unequal, whose: Whose, explained: Explained) -> Iterator[Finding]:
    """A number that the bill has more than once."""
    repeated = [Line.of(line) for line in one.repeated_left]
    # The first of several different lines is compared with ours.
    extra = repeated + [Line.of(line) for line in one.left[1:]]
    for line in extra:
        explained.asked[line.on] += line.fen
    if extra:
        yield asked(FundKind.DUPLICATE_ROW, extra[0], whose)


def differs(kind: FundKind, left: Line, right: Line, whose: Whose, explained: Explained) -> Finding:
    """Bill and books say different things about one number."""
    explained.asked[left.on] += left.fen
    explained.asked[right.on] -= right.fen
    return asked(kind, left, whose, ours=right.words())


def other_day(
    left: Line, ours_on: date, whose: Whose, explained: Explained, *, days_apart: int
) -> Iterator[Finding]:
    """The same money on two days: a question only when they are further apart than they may be."""
    near = abs((left.on - ours_on).days) <= days_apart
    counted = explained.moved if near else explained.asked
    counted[left.on] += left.fen
    counted[ours_on] -= left.fen
    action = Action.NONE if near else Action.ASKED
    yield _finding(FundKind.OTHER_DAY, left, whose, action, ours_on=str(ours_on))


def missing(
    kind: FundKind, right: Line, whose: Whose, explained: Explained, *, next_door: bool, may_wait: bool
) -> Iterator[Finding]:
    """Ours and not in the bill of this month: the bill next door has it, may have it, or nobody."""
    if next_door or may_wait:
        explained.moved[right.on] -= right.fen
    else:
        explained.asked[right.on] -= right.fen
    if not next_door:
        yield _finding(kind, right, whose, Action.WAIT if may_wait else Action.ASKED)


def _finding(kind: FundKind, line: Line, whose: Whose, action: Action, **facts: object) -> Finding:
    return Finding(
        kind=kind,
        key=line.number,
        action=action,
        amount_fen=line.fen,
        order_id=whose.order_id,
        order_no=whose.order_no,
        facts={"number": line.number, **line.words(), **facts},
    )
