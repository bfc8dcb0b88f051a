"""A made-up day of payments: a database, WeChat's bill of it, and the differences hidden between them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from models import schema
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.money import yuan

ON = date(2026, 11, 22)
APP_ID = "wx2421b1c4370ec43b"
MCH_ID = "1900007291"
ACCOUNTS = 1000
SECONDS_A_DAY = 86_400
# Shares no factor with a power of ten: numbers are scattered and never meet.
SCATTER = 61_803_398_877
HIDDEN_EACH = 10
AMOUNTS_FEN = (100, 500, 1000, 1234, 2000, 5000, 10_000)

HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"

KINDS = (
    "LOST_NOTIFY",
    "MISSING_IN_BILL",
    "AMOUNT_DIFFERS",
    "DUPLICATE_ROW",
    "FOREIGN",
    "CREDIT_MISSING",
    "CREDIT_DIFFERS",
    "CREDIT_UNEXPECTED",
    "DOUBLE_CREDIT",
    "REFUND_MISSING_IN_BILL",
    "EXTERNAL_REFUND",
)


@dataclass(frozen=True)
class Payment:
    """One order, and which difference it carries ("" for none)."""

    id: int
    order_no: str
    amount_fen: int
    account_no: str
    at: datetime
    hidden: str

    @property
    def number(self) -> str:
        """Its out_trade_no."""
        return f"{self.order_no}01"

    @property
    def transaction_id(self) -> str:
        """WeChat's number for it."""
        return f"4200{ON:%Y%m%d}{self.id:016d}"


@dataclass
class Sums:
    """The bill's last line, in fen."""

    rows: int = 0
    order_fen: int = 0
    refund_fen: int = 0
    hidden: list[tuple[str, str]] = field(default_factory=list)


def payments(count: int, seed: int) -> Iterator[Payment]:
    """The same day for the same seed; differences are spread over it."""
    rng = random.Random(seed)
    midnight = datetime(ON.year, ON.month, ON.day, tzinfo=CAMPUS_ZONE).astimezone(UTC)
    places = rng.sample(range(count), len(KINDS) * HIDDEN_EACH)
    hidden = {place: KINDS[n % len(KINDS)] for n, place in enumerate(places)}
    for n in range(count):
        yield Payment(
            id=n + 1,
            order_no=f"r{ON:%Y%m%d}{n * SCATTER % 10**11:011d}",
            amount_fen=rng.choice(AMOUNTS_FEN),
            account_no=f"24{rng.randrange(ACCOUNTS):08d}",
            at=midnight + timedelta(seconds=n * SECONDS_A_DAY // count),
            hidden=hidden.get(n, ""),
        )


def write_database(path: Path, count: int, seed: int) -> None:
    """Our books of the day: orders, attempts, facts, credits, the ledger."""
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.dispose()
    with closing(sqlite3.connect(path)) as connection:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-400000"):
            connection.execute(f"PRAGMA {pragma}")
        for payment in payments(count, seed):
            _insert(connection, payment)
        connection.commit()


def write_bill(path: Path, count: int, seed: int) -> list[tuple[str, str]]:
    """WeChat's bill of the day. Returns: what is hidden, as kind and key."""
    sums = Sums()
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n")
        for payment in payments(count, seed):
            _rows(file, payment, sums)
        values = (
            f"{sums.rows}.0",
            yuan(sums.order_fen),
            yuan(sums.refund_fen),
            "0.00",
            "0.00",
            yuan(sums.order_fen),
            yuan(sums.refund_fen),
        )
        file.write(f"{SUMMARY}\r\n`{',`'.join(values)}\r\n".encode())
    return sums.hidden


def _rows(file: BinaryIO, payment: Payment, sums: Sums) -> None:
    kind = payment.hidden
    if kind:
        keys = {
            "CREDIT_MISSING": f"c{payment.order_no}",
            "CREDIT_DIFFERS": f"c{payment.order_no}",
            "CREDIT_UNEXPECTED": f"c{payment.order_no}",
            "DOUBLE_CREDIT": f"c{payment.order_no}",
            "FOREIGN": f"MEAL{payment.id:012d}",
            "REFUND_MISSING_IN_BILL": f"f{payment.order_no}01",
            "EXTERNAL_REFUND": f"CONSOLE{payment.id:012d}",
        }
        sums.hidden.append((kind, keys.get(kind, payment.number)))
    if kind in {"MISSING_IN_BILL", "CREDIT_UNEXPECTED", "DOUBLE_CREDIT"}:
        return
    number = f"MEAL{payment.id:012d}" if kind == "FOREIGN" else payment.number
    amount_fen = payment.amount_fen + (1 if kind == "AMOUNT_DIFFERS" else 0)
    for _ in range(2 if kind == "DUPLICATE_ROW" else 1):
        file.write(_row(payment, number, order_fen=amount_fen))
        sums.rows += 1
        sums.order_fen += amount_fen
    if kind == "EXTERNAL_REFUND":
        file.write(_row(payment, number, refund_fen=100))
        sums.rows += 1
        sums.refund_fen += 100


def _row(payment: Payment, number: str, *, order_fen: int = 0, refund_fen: int = 0) -> bytes:
    back = bool(refund_fen)
    fields = (
        f"{payment.at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M:%S}",
        APP_ID,
        MCH_ID,
        "0",
        "",
        payment.transaction_id,
        number,
        f"oUpF8uMuAJO{payment.id:017d}",
        "JSAPI",
        "REFUND" if back else "SUCCESS",
        "OTHERS",
        "CNY",
        yuan(order_fen),
        "0.00",
        f"50{payment.id:020d}" if back else "0",
        f"CONSOLE{payment.id:012d}" if back else "0",
        yuan(refund_fen),
        "0.00",
        "ORIGINAL" if back else "",
        "SUCCESS" if back else "",
        "校园网充值,含税",
        "",
        "0.00000",
        "0.60%",
        yuan(order_fen),
        yuan(refund_fen),
        "",
    )
    return f"`{',`'.join(fields)}\r\n".encode()


def _insert(connection: sqlite3.Connection, payment: Payment) -> None:
    kind, at = payment.hidden, _stored(payment.at)
    if kind == "FOREIGN":
        return
    paid = kind not in {"LOST_NOTIFY", "CREDIT_UNEXPECTED"}
    # A credit that billing applies on this day, although it was done the day before.
    early = timedelta(days=1) if kind == "DOUBLE_CREDIT" else timedelta()
    before = _stored(payment.at - early)
    connection.execute(
        "INSERT INTO orders VALUES (?,?,NULL,'wechat',?,?,'*明',?,?,0,?,?,?,?)",
        (
            payment.id,
            payment.order_no,
            f"oUpF8uMuAJO{payment.id:017d}",
            payment.account_no,
            payment.amount_fen,
            "PAID" if paid else "EXPIRED",
            payment.transaction_id if paid else None,
            before,
            before,
            before if paid else None,
        ),
    )
    connection.execute(
        "INSERT INTO payment_attempt VALUES (?,?,1,?,NULL,?,?)",
        (payment.id, payment.id, payment.number, before, before),
    )
    if paid:
        _insert_paid(connection, payment, before)
    if kind not in {"LOST_NOTIFY", "CREDIT_MISSING"}:
        _insert_entry(connection, payment, at)


def _insert_paid(connection: sqlite3.Connection, payment: Payment, at: str) -> None:
    connection.execute(
        "INSERT INTO payment_fact VALUES (?,?,'wechat',?,?,?,'notify',?,?)",
        (payment.id, payment.id, payment.transaction_id, payment.number, payment.amount_fen, at, at),
    )
    connection.execute(
        "INSERT INTO credit VALUES (?,?,?,?,?,'CREDITED',NULL,NULL,?,?)",
        (payment.id, payment.id, f"c{payment.order_no}", payment.account_no, payment.amount_fen, at, at),
    )
    refunded = payment.hidden in {"EXTERNAL_REFUND", "REFUND_MISSING_IN_BILL"}
    connection.execute(
        "INSERT INTO allocation (order_id, paid_fen, credit_fen, reversed_fen, refund_fen)"
        " VALUES (?,?,?,?,0)",
        (payment.id, payment.amount_fen, payment.amount_fen, 100 if refunded else 0),
    )
    if payment.hidden == "REFUND_MISSING_IN_BILL":
        connection.execute(
            "INSERT INTO refund (order_id, out_refund_no, out_trade_no, refund_id, amount_fen, reason,"
            " origin, status, reversal, held, requested_by, success_at, created_at, changed_at)"
            " VALUES (?,?,?,?,100,'-','ours','SUCCESS','DONE',1,'a',?,?,?)",
            (payment.id, f"f{payment.order_no}01", payment.number, f"51{payment.id:020d}", at, at, at),
        )


def _insert_entry(connection: sqlite3.Connection, payment: Payment, at: str) -> None:
    amount_fen = payment.amount_fen + (1 if payment.hidden == "CREDIT_DIFFERS" else 0)
    connection.execute(
        "INSERT INTO ledger_entry (id, key, kind, memo, at) VALUES (?,?,'credit','',?)",
        (payment.id, f"credit:c{payment.order_no}", at),
    )
    connection.executemany(
        "INSERT INTO ledger_posting (entry_id, book, amount_fen) VALUES (?,?,?)",
        (
            (payment.id, f"account:{payment.account_no}", amount_fen),
            (payment.id, "clearing:payments", -amount_fen),
        ),
    )


def _stored(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
