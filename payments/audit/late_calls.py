"""What billing applied too late: the ledger has it, an open item asks about it, and a repair undoes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, union_all
from sqlalchemy.orm import Session

from models.ledger import Entry, Posting
from models.order import Credit, CreditStatus
from models.payout import PartStatus, Payout, PayoutPart
from models.review import ReviewItem, ReviewKind, ReviewStatus

FINDINGS_MAX = 20
# The ledger has the credit of these, although the order's payment has none.
LATE_CREDITS = (CreditStatus.LATE, CreditStatus.TAKING_BACK, CreditStatus.TAKEN_BACK, CreditStatus.OWED)
LATE_PARTS = (PartStatus.LATE, PartStatus.RETURNING, PartStatus.RETURNED)


def undo_keys() -> Select[Any]:
    """Return the ledger keys of repairs that are under way or done."""
    taken_back = select(literal("reversal:") + Credit.undo_key).where(
        Credit.status.in_((CreditStatus.TAKING_BACK, CreditStatus.TAKEN_BACK))
    )
    put_back = select(literal("credit:") + PayoutPart.undo_key).where(
        PayoutPart.status.in_((PartStatus.RETURNING, PartStatus.RETURNED))
    )
    return select(union_all(taken_back, put_back).subquery("undo_keys"))


def check_late_calls(session: Session) -> Iterator[str]:
    """Yield late calls that no open item asks about."""
    credit = select(Credit.credit_no).where(
        Credit.status == CreditStatus.LATE, ~_asked(ReviewKind.LATE_CREDIT, Credit.credit_no)
    )
    for credit_no in session.scalars(credit.limit(FINDINGS_MAX)):
        yield f"credit {credit_no} was applied too late, and no open item asks about it"
    part = select(PayoutPart.part_no).where(
        PayoutPart.status == PartStatus.LATE, ~_asked(ReviewKind.LATE_WITHDRAWAL, PayoutPart.part_no)
    )
    for part_no in session.scalars(part.limit(FINDINGS_MAX)):
        yield f"payout part {part_no} was withdrawn too late, and no open item asks about it"


def check_repairs(session: Session) -> Iterator[str]:
    """Yield repairs that are recorded as done and that the ledger does not have so."""
    taken = (
        select(Credit.credit_no)
        .outerjoin(Entry, Entry.key == literal("reversal:") + Credit.undo_key)
        .outerjoin(Posting, and_(Posting.entry_id == Entry.id, _on_account(Credit.account_no)))
        .where(
            Credit.status == CreditStatus.TAKEN_BACK,
            or_(Posting.id.is_(None), Posting.amount_fen != -Credit.amount_fen),
        )
    )
    for credit_no in session.scalars(taken.limit(FINDINGS_MAX)):
        yield f"credit {credit_no} is taken back, the ledger does not have its reversal"
    returned = (
        select(PayoutPart.part_no)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .outerjoin(Entry, Entry.key == literal("credit:") + PayoutPart.undo_key)
        .outerjoin(Posting, and_(Posting.entry_id == Entry.id, _on_account(Payout.account_no)))
        .where(
            PayoutPart.status == PartStatus.RETURNED,
            or_(Posting.id.is_(None), Posting.amount_fen != PayoutPart.amount_fen),
        )
    )
    for part_no in session.scalars(returned.limit(FINDINGS_MAX)):
        yield f"payout part {part_no} is returned, the ledger does not have its credit"


def _asked(kind: ReviewKind, key: Any) -> ColumnElement[bool]:
    return (
        select(ReviewItem.id)
        .where(ReviewItem.kind == kind, ReviewItem.key == key, ReviewItem.status != ReviewStatus.CLOSED)
        .exists()
    )


def _on_account(account_no: Any) -> ColumnElement[bool]:
    book: ColumnElement[str] = literal("account:") + account_no
    return Posting.book == book
