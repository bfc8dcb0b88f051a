"""What WeChat Pay has: payments and refunds from bills, kept callbacks and queries, as one kind of value."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from models.clock import campus_date
from payments.reconcile.bill import Bill, BillRow
from payments.reconcile.odd_rows import SEPARATOR, OddRows
from payments.services import Services
from payments.wechatpay.bills import NoStatement, trade_bill
from payments.wechatpay.client import RefundTrade, Trade

# The bill of a day is ready at ten the next morning, and kept for three months.
BILL_READY = timedelta(hours=10)
BILL_DAYS = 90
PAID_STATES = ("SUCCESS", "REFUND")


@dataclass(frozen=True)
class SeenPayment:
    """A payment that WeChat took; `source` is `bill`, `callback` or `query`."""

    out_trade_no: str
    transaction_id: str
    openid: str | None = field(repr=False)
    amount_fen: int
    currency: str
    paid_at: datetime
    app_id: str
    mch_id: str
    attach: str = field(repr=False)
    source: str


@dataclass(frozen=True)
class SeenRefund:
    """A refund that WeChat accepted; what became of it is queried."""

    out_refund_no: str
    out_trade_no: str
    amount_fen: int
    source: str


def days_between(since: datetime, until: datetime) -> list[date]:
    """Return every campus day from one time to the other, both included."""
    first, last = campus_date(since), campus_date(until)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def has_bill(on: date, now: datetime) -> bool:
    """Return True once WeChat has made the bill of that campus day."""
    return on < campus_date(now - BILL_READY)


def is_too_old(on: date, now: datetime) -> bool:
    """Return True if WeChat does not keep the bill of that day any more."""
    return (campus_date(now) - on).days > BILL_DAYS


def bill_rows(services: Services, on: date, odd: OddRows) -> Iterator[BillRow]:
    """Yield every row of a day's trade bill, from a file that is verified as a whole before.

    Rows that cannot be read are counted in `odd` at the end.

    Raises: Forged, Malformed - the bill is not the one that WeChat signed; Unavailable, Unknown.
    """
    with tempfile.TemporaryDirectory(prefix="campusnet-bill-") as folder:
        path = Path(folder) / "bill.csv"
        with suppress(NoStatement):
            trade_bill(services.pay, on, path)
            bill = Bill(path)
            for batch in bill.batches():
                for fields in batch:
                    yield from bill.row_of(SEPARATOR.join(fields))
            for row in bill.odd.rows:
                odd.add(row)


def payment_of_row(row: BillRow) -> SeenPayment:
    """Return the payment of a bill row with `paid`."""
    return SeenPayment(
        out_trade_no=row.out_trade_no,
        transaction_id=row.transaction_id,
        openid=row.openid,
        amount_fen=row.order_fen,
        currency=row.currency,
        paid_at=row.at,
        app_id=row.app_id,
        mch_id=row.mch_id,
        attach=row.attach,
        source="bill",
    )


def payment_of_trade(trade: Trade, source: str) -> SeenPayment | None:
    """Return the payment of a trade; None unless it is paid and complete."""
    if trade.trade_state not in PAID_STATES or trade.transaction_id is None:
        return None
    if trade.amount_fen is None or trade.paid_at is None:
        return None
    return SeenPayment(
        out_trade_no=trade.out_trade_no,
        transaction_id=trade.transaction_id,
        openid=trade.openid,
        amount_fen=trade.amount_fen,
        currency=trade.currency,
        paid_at=trade.paid_at,
        app_id=trade.app_id,
        mch_id=trade.mch_id,
        attach=trade.attach,
        source=source,
    )


def refund_of_row(row: BillRow) -> SeenRefund:
    """Return the refund of a bill row without `paid`."""
    return SeenRefund(row.out_refund_no, row.out_trade_no, row.refund_fen, "bill")


def refund_of_trade(refund: RefundTrade, source: str) -> SeenRefund:
    """Return the refund of an answer or a callback."""
    return SeenRefund(refund.out_refund_no, refund.out_trade_no, refund.amount_fen, source)
