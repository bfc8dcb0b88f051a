"""WeChat's trade bill, written from the document, and a billing that can be listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from billing.interface import Capabilities
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.money import yuan
from models.order import CreditStatus, move_credit
from payments.views import OrderView
from payments.wechatpay.client import RefundNotFound, RefundTrade
from tests.builders import NOON, PAYER, ScriptedBilling, ScriptedPay, World

ON = date(2026, 3, 10)
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


@dataclass(frozen=True)
class Paid:
    """A row of the bill; with `refund_fen` a refund row."""

    number: str
    transaction_id: str
    fen: int = 0
    refund_fen: int = 0
    out_refund_no: str = "0"
    refund_state: str = "SUCCESS"
    at: datetime = NOON
    openid: str = PAYER
    app_id: str = ScriptedPay.app_id
    mch_id: str = ScriptedPay.mch_id
    currency: str = "CNY"
    description: str = "校园网充值,含税"

    def line(self) -> str:
        back = self.refund_fen > 0
        fields = [
            f"{self.at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M:%S}",
            self.app_id,
            self.mch_id,
            "0",
            "",
            self.transaction_id,
            self.number,
            self.openid,
            "JSAPI",
            "REFUND" if back else "SUCCESS",
            "OTHERS",
            self.currency,
            yuan(self.fen),
            "0.00",
            f"50{self.out_refund_no}" if back else "0",
            self.out_refund_no,
            yuan(self.refund_fen),
            "0.00",
            "ORIGINAL" if back else "",
            self.refund_state if back else "",
            self.description,
            "",
            "0.00000",
            "0.60%",
            yuan(self.fen),
            yuan(self.refund_fen),
            "",
        ]
        return f"`{',`'.join(fields)}"


def write_bill(path: Path, rows: Sequence[Paid], /, **totals: Any) -> Path:
    """The file of these rows; `totals` replaces figures of the last line."""
    fen, back = sum(row.fen for row in rows), sum(row.refund_fen for row in rows)
    said = {"rows": f"{len(rows)}.0", "settled": yuan(fen), "refunded": yuan(back), "coupon": "0.00"}
    said |= {"fee": "0.00", "order": yuan(fen), "asked_back": yuan(back)} | totals
    lines = [HEADER, *(row.line() for row in rows), TOTALS, f"`{',`'.join(said.values())}"]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode())
    return path


class CreditLine(NamedTuple):
    """A credit that billing lists."""

    key: str
    account_no: str
    amount_fen: int


@dataclass
class ListedBilling(ScriptedBilling):
    """Also keeps a list of credits as they were applied, which a test may spoil.

    A key without a time in `at` was applied whenever it is asked for.
    """

    applied: list[CreditLine] = field(default_factory=list)
    at: dict[str, datetime] = field(default_factory=dict)
    can_list: bool = True

    def capabilities(self) -> Capabilities:
        return Capabilities(
            find_credit=self.can_find,
            reverse=False,
            exchange=False,
            usage=False,
            sessions=False,
            kick=False,
            local=True,
            list_movements=self.can_list,
        )

    def movements_between(self, since: datetime, until: datetime) -> Iterator[list[bytes]]:
        for line in self.applied:
            if since <= self.at.get(line.key, since) < until:
                yield [b"credit:" + "\t".join(map(str, line)).encode()]

    def apply(self, key: str, account_no: str, fen: int) -> None:
        self.credits[key] = (account_no, fen)
        self.applied.append(CreditLine(key, account_no, fen))


class RefundlessPay(ScriptedPay):
    """Knows no refund."""

    def query_refund(self, out_refund_no: str) -> RefundTrade:
        raise RefundNotFound("RESOURCENOTEXISTS", out_refund_no, "")


class BillWorld(World):
    """A world whose clock stands at 10:10 of the morning after, with payments of the day before."""

    billing: ListedBilling

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database, billing=ListedBilling(), pay=RefundlessPay())
        self.folder = folder

    def next_morning(self) -> None:
        """10:10 in Beijing of the day after `ON`."""
        self.clock.now = datetime(2026, 3, 11, 10, 10, tzinfo=CAMPUS_ZONE)

    def credited(self, amount_fen: int = 500) -> OrderView:
        """Paid and in billing, in our books and in theirs."""
        view = self.paid(amount_fen)
        self.credit_ours(view)
        self.billing.apply(f"c{view.order_no}", view.account_no, amount_fen)
        self.billing.at[f"c{view.order_no}"] = self.clock()
        return view

    def credit_ours(self, view: OrderView) -> None:
        """Our own books say that the credit is done."""
        with self.database.transaction() as session:
            credit = self.credit(view)
            credit = session.merge(credit)
            move_credit(session, credit, CreditStatus.SENDING, now=self.clock())
            move_credit(session, credit, CreditStatus.CREDITED, now=self.clock())

    def bill(self, *rows: Paid, **totals: Any) -> Path:
        return write_bill(self.folder / "bill.csv", rows, **totals)


def row_of(view: OrderView, **changes: Any) -> Paid:
    """The row of an order as it should be."""
    values: dict[str, Any] = {
        "number": f"{view.order_no}01",
        "transaction_id": f"42{view.order_no}",
        "fen": view.amount_fen,
    }
    return Paid(**{**values, **changes})
