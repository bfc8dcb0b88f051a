"""The movements of one account's money, as its owner reads them."""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded import ledger
from billing.interface import StatementKind, StatementLine
from models.ledger import Entry, Posting

# An order's number inside the key under which its money was moved (payments/numbers.py makes them).
_ORDER_NO = re.compile(r"r\d{8}[0-9a-z]{11}")

MEMOS = {
    StatementKind.OPENING: "期初余额",
    StatementKind.CREDIT: "充值",
    StatementKind.REVERSAL: "充值退回",
    StatementKind.EXCHANGE: "换购套餐",
    StatementKind.WITHDRAWAL: "退费",
    StatementKind.ADJUSTMENT: "调账",
    StatementKind.OTHER: "调整",
}


def lines(session: Session, account_no: str, *, before: int | None, limit: int) -> list[StatementLine]:
    """Movements of an account, newest first, each with the balance right after it."""
    book = ledger.book_of(account_no)
    query = (
        select(Posting.id, Entry.at, Entry.kind, Posting.amount_fen, Entry.memo, Entry.key)
        .join(Entry, Entry.id == Posting.entry_id)
        .where(Posting.book == book)
    )
    if before is not None:
        query = query.where(Posting.id < before)
    found = session.execute(query.order_by(Posting.id.desc()).limit(limit)).all()
    if not found:
        return []
    # One sum for the newest; the others follow from it, because postings never change.
    balance_fen = ledger.sum_until(session, book, found[0][0])
    made: list[StatementLine] = []
    for posting_id, at, kind, amount_fen, memo, key in found:
        made.append(
            StatementLine(
                posting_id, at, _kind(kind), amount_fen, balance_fen, _memo(kind, memo), _order(key)
            )
        )
        balance_fen -= amount_fen
    return made


def _kind(kind: str) -> StatementKind:
    return StatementKind(kind) if kind in list(StatementKind) else StatementKind.OTHER


def _memo(kind: str, memo: str) -> str:
    title = MEMOS[_kind(kind)]
    return f"{title}：{memo}" if memo else title


def _order(key: str) -> str | None:
    found = _ORDER_NO.search(key)
    return found.group() if found else None
