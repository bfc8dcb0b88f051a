"""Adjusting entries against the ledger: each has its one entry, and each entry its adjustment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from sqlalchemy import Select, Subquery, case, or_, select
from sqlalchemy.orm import Session

from models.adjustment import UNDER_WAY, Adjustment, AdjustmentKind, AdjustmentStatus
from models.ledger import Entry, Posting

# The embedded engine's entries: `adjustment:<adjustment_no>`, and `credit:<adjustment_no>` for PUT_BACK.
KIND, KEY = "adjustment", "adjustment:"
CREDIT_KIND, CREDIT_KEY = "credit", "credit:"
FINDINGS_MAX = 20
_EXPECTED = (*UNDER_WAY, AdjustmentStatus.DONE)


def check_adjustments(session: Session) -> Iterator[str]:
    """Yield every disagreement between adjusting entries and the ledger."""
    for number, fen in session.execute(_unwritten()):
        yield f"adjustment {number} is DONE, the ledger has {fen} fen for it"
    for key, status in session.execute(_unwanted()):
        yield f"the ledger has {key}, our side says {status or 'nothing'}"


def put_back_keys() -> Any:
    """Return the keys of credit entries that adjustments answer for, as a subquery."""
    return select(CREDIT_KEY + Adjustment.adjustment_no).where(
        Adjustment.kind == AdjustmentKind.PUT_BACK, Adjustment.status.in_(_EXPECTED)
    )


def _written() -> Subquery:
    query = (
        select(Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind.in_((KIND, CREDIT_KIND)), Posting.book.like("account:%"))
    )
    return query.subquery("written")


@cache
def _unwritten() -> Select[Any]:
    written = _written()
    put_back = Adjustment.kind == AdjustmentKind.PUT_BACK
    its_key = case((put_back, CREDIT_KEY + Adjustment.adjustment_no), else_=KEY + Adjustment.adjustment_no)
    return (
        select(Adjustment.adjustment_no, written.c.amount_fen)
        .outerjoin(written, written.c.key == its_key)
        .where(
            Adjustment.status == AdjustmentStatus.DONE,
            or_(
                written.c.key.is_(None),
                written.c.amount_fen != Adjustment.amount_fen,
                written.c.book != "account:" + Adjustment.account_no,
            ),
        )
        .limit(FINDINGS_MAX)
    )


@cache
def _unwanted() -> Select[Any]:
    written = _written()
    return (
        select(written.c.key, Adjustment.status)
        .outerjoin(Adjustment, written.c.key == KEY + Adjustment.adjustment_no)
        .where(
            written.c.key.like(f"{KEY}%"),
            or_(Adjustment.id.is_(None), Adjustment.status.not_in(_EXPECTED)),
        )
        .limit(FINDINGS_MAX)
    )
