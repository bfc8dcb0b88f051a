"""Withdrawals in the ledger and parts for the bank: each has its one counterpart."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Subquery, or_, select
from sqlalchemy.orm import Session

from models.ledger import Entry, Posting
from models.payout import PartStatus, Payout, PayoutPart

# The embedded engine's entries: `withdrawal:<part_no>`.
KIND, KEY = "withdrawal", "withdrawal:"
FINDINGS_MAX = 20
TAKEN = (
    PartStatus.WITHDRAWN,
    PartStatus.LISTED,
    PartStatus.PAID,
    PartStatus.LATE,
    PartStatus.RETURNING,
    PartStatus.RETURNED,
)
PERHAPS = (PartStatus.SENDING, PartStatus.UNKNOWN)


def check_withdrawals(session: Session) -> Iterator[str]:
    """Every disagreement between parts and ledger in words."""
    written = _written()
    missing = (
        select(PayoutPart.part_no, written.c.amount_fen)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .outerjoin(written, written.c.key == KEY + PayoutPart.part_no)
        .where(
            PayoutPart.status.in_(TAKEN),
            # Money that a refund could not return was taken off the account by the refund.
            PayoutPart.order_id.is_(None),
            or_(
                written.c.key.is_(None),
                written.c.amount_fen != -PayoutPart.amount_fen,
                written.c.book != "account:" + Payout.account_no,
            ),
        )
    )
    for part_no, fen in session.execute(missing.limit(FINDINGS_MAX)):
        yield f"payout part {part_no} is withdrawn, the ledger has {fen} fen for it"
    unwanted = (
        select(written.c.key, PayoutPart.status)
        .outerjoin(PayoutPart, written.c.key == KEY + PayoutPart.part_no)
        .where(or_(PayoutPart.id.is_(None), PayoutPart.status.not_in((*TAKEN, *PERHAPS))))
    )
    for key, status in session.execute(unwanted.limit(FINDINGS_MAX)):
        yield f"the ledger has {key}, our side says {status or 'nothing'}"


def _written() -> Subquery:
    query = (
        select(Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind == KIND, Posting.book.like("account:%"))
    )
    return query.subquery("written")
