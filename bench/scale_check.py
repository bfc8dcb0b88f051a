"""Whether the rows of an account fit together as ingest, ledger and exchange leave them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded import counters, ledger
from billing.embedded.sessions import samples_of
from models.ledger import Account
from models.package import Purchase, TrafficLot
from models.usage import AccountingSession, LotUse, UsageDay


def contradictions(session: Session, account_no: str) -> Iterator[str]:
    """What does not fit in the books of one account, a line each."""
    yield from _traffic(session, account_no)
    yield from _lots(session, account_no)
    yield from _money(session, account_no)


def _traffic(session: Session, account_no: str) -> Iterator[str]:
    reported: dict[date, tuple[int, int]] = defaultdict(lambda: (0, 0))
    query = select(AccountingSession).where(AccountingSession.account_no == account_no)
    for row in session.scalars(query):
        mark, pieces = counters.walk(None, counters.in_order(samples_of(session, row.id)))
        if mark != counters.Mark(row.last_at, row.up_bytes, row.down_bytes):
            yield f"{account_no}: session {row.id} is not what its samples say"
        for piece in pieces:
            up_bytes, down_bytes = reported[piece.on]
            reported[piece.on] = up_bytes + piece.up_bytes, down_bytes + piece.down_bytes
    days = session.scalars(select(UsageDay).where(UsageDay.account_no == account_no)).all()
    if {day.used_on: (day.up_bytes, day.down_bytes) for day in days} != reported:
        yield f"{account_no}: days are not what its sessions say"
    if any(day.up_bytes + day.down_bytes != day.fast_bytes + day.throttled_bytes for day in days):
        yield f"{account_no}: a day counts more or less than was sent"


def _lots(session: Session, account_no: str) -> Iterator[str]:
    by_day: dict[date, int] = defaultdict(int)
    for lot in session.scalars(select(TrafficLot).where(TrafficLot.account_no == account_no)):
        uses = session.scalars(select(LotUse).where(LotUse.lot_id == lot.id)).all()
        if sum(use.used_bytes for use in uses) != lot.used_bytes:
            yield f"{account_no}: lot {lot.id} is not the sum of its uses"
        for use in uses:
            by_day[use.used_on] += use.used_bytes
    days = session.scalars(select(UsageDay).where(UsageDay.account_no == account_no, UsageDay.fast_bytes > 0))
    if {day.used_on: day.fast_bytes for day in days} != by_day:
        yield f"{account_no}: fast traffic is not what was taken from lots"


def _money(session: Session, account_no: str) -> Iterator[str]:
    account = session.get_one(Account, account_no)
    if account.balance_fen != ledger.book_sum(session, ledger.book_of(account_no)):
        yield f"{account_no}: the balance is not the sum of its postings"
    for purchase in session.scalars(select(Purchase).where(Purchase.account_no == account_no)):
        entry = ledger.find_entry(session, f"{ledger.EXCHANGE}:{purchase.key}")
        if entry is None or (entry.amount_fen, entry.balance_fen) != (
            -purchase.price_fen,
            purchase.balance_fen,
        ):
            yield f"{account_no}: purchase {purchase.id} is not in the ledger as it says"
