"""Bills of the merchant: one file a Beijing day, ready at ten the next morning, behind a short-lived URL."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from sandbox.engine import Engine
from sandbox.pay.bill_files import Row, fundflow_csv, moves_money, trade_csv
from sandbox.pay.errors import PayError
from sandbox.pay.orders import BEIJING, Order
from sandbox.pay.refunds import Refund

READY_AT = time(10, 0)
DAYS_BACK = 92
URL_LIFE = timedelta(seconds=30)
OTHER_APP_ID = "wx0000000000000000"
NOTHING = ("NO_STATEMENT_EXIST", "请求的账单文件不存在")


@dataclass(frozen=True)
class _File:
    content: bytes
    until: datetime


class Bills:
    """Makes bills from the orders and refunds of the moment; the caller holds the engine's lock.

    `fault` is the name of what is wrong on purpose, "" for nothing.
    """

    def __init__(
        self,
        engine: Engine,
        orders: Callable[[], Iterable[Order]],
        refunds: Callable[[], Iterable[Refund]],
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._refunds = refunds
        self._files: dict[str, _File] = {}

    def apply_trade(self, on: date, fault: str, *, zipped: bool) -> tuple[str, str]:
        """Hash and token of a day's trade bill. Raises: PayError - not ready, nothing there, too old."""
        rows = self._rows(on, fault)
        counted = rows[1:] if fault == "bill_wrong_totals" else None
        return self._offer(trade_csv(_spoiled(rows, fault), counted), fault, zipped=zipped)

    def apply_fundflow(self, on: date, fault: str, *, zipped: bool) -> tuple[str, str]:
        """Hash and token of a day's fund-flow bill. Raises: PayError."""
        rows = [row for row in self._rows(on, fault) if moves_money(row)]
        if not rows:
            raise PayError(400, *NOTHING)
        earlier = [row for row in self._all_rows() if moves_money(row) and _day(row) < on]
        opening_fen = sum(row.order_fen - row.refund_fen for row in earlier)
        return self._offer(fundflow_csv(rows, opening_fen), fault, zipped=zipped)

    def fetch(self, token: str) -> bytes:
        """The file behind a token, for thirty seconds. Raises: PayError."""
        found = self._files.get(token)
        if found is None or found.until <= self._engine.clock.now():
            raise PayError(403, "NO_AUTH", "下载地址已失效")
        return found.content

    def _rows(self, on: date, fault: str) -> list[Row]:
        self._check_ready(on, fault)
        rows = sorted((row for row in self._all_rows() if _day(row) == on), key=lambda row: row.at)
        if not rows or fault == "bill_none":
            raise PayError(400, *NOTHING)
        return rows

    def _all_rows(self) -> list[Row]:
        paid = [_paid_row(order) for order in self._orders() if order.success_at is not None]
        return paid + [_refund_row(refund) for refund in self._refunds()]

    def _check_ready(self, on: date, fault: str) -> None:
        now = datetime.fromtimestamp(self._engine.stamp(), UTC).astimezone(BEIJING)
        if on >= now.date() or (now.date() - on).days > DAYS_BACK:
            raise PayError(400, "INVALID_REQUEST", "账单日期错误，应为三个月内且早于今天")
        ready_at = datetime.combine(on + timedelta(days=1), READY_AT, BEIJING)
        if now < ready_at or fault == "bill_not_ready":
            raise PayError(400, "STATEMENT_CREATING", "账单正在生成中，请稍后再试")

    def _offer(self, content: bytes, fault: str, *, zipped: bool) -> tuple[str, str]:
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        token = self._engine.chance.stream("pay.bill token").hex(48)
        body = gzip.compress(content) if zipped else content
        if fault == "bill_cut":
            body = body[: len(body) // 2]
        self._files[token] = _File(body, self._engine.clock.now() + URL_LIFE)
        return (digest[::-1] if fault == "bill_bad_hash" else digest), token


def _spoiled(rows: list[Row], fault: str) -> list[Row]:
    """The rows with one thing wrong, about the first payment."""
    first = next((n for n, row in enumerate(rows) if row.order_fen), 0)
    row, others = rows[first], rows[:first] + rows[first + 1 :]
    stranger = f"4298{row.transaction_id[4:]}"
    made = {
        "bill_missing_row": others,
        "bill_duplicate_row": [*rows, row],
        "bill_wrong_amount": [*others, replace(row, order_fen=row.order_fen + 1)],
        "bill_other_appid": [*others, replace(row, app_id=OTHER_APP_ID)],
        # Looks like one of the merchant's, and was never placed.
        "bill_extra_row": [
            *rows,
            replace(row, out_trade_no=f"{row.out_trade_no[:-4]}zz01", transaction_id=stranger),
        ],
        "bill_foreign_order": [
            *rows,
            replace(row, out_trade_no="MEALCARD00000001", transaction_id=stranger),
        ],
    }
    return made.get(fault, rows)


def _day(row: Row) -> date:
    return row.at.astimezone(BEIJING).date()


def _paid_row(order: Order) -> Row:
    request = order.request
    return Row(
        at=order.success_at or order.created_at,
        app_id=request.app_id,
        mch_id=request.mch_id,
        transaction_id=order.transaction_id,
        out_trade_no=request.out_trade_no,
        openid=request.openid,
        description=request.description,
        attach=request.attach,
        order_fen=request.amount_fen,
        coupon_fen=order.coupon_fen,
        given_fen=order.given_fen,
    )


def _refund_row(refund: Refund) -> Row:
    """Stands on the day on which it was asked for, whenever it arrives."""
    return replace(
        _paid_row(refund.order),
        at=refund.created_at,
        order_fen=0,
        refund_id=refund.refund_id,
        out_refund_no=refund.request.out_refund_no,
        refund_fen=refund.request.amount_fen,
        refund_state=refund.status,
        coupon_fen=refund.coupon_fen,
        given_fen=refund.given_fen,
    )
