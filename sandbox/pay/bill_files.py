"""The two bill files, byte for byte as the platform writes them: BOM, CRLF, backquotes, yuan.

Source: pay.weixin.qq.com/docs/merchant/products/bill-download/format-trade.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sandbox.pay.orders import BEIJING, SUCCESS
from sandbox.pay.refunds import CLOSED

DETAIL = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FLOW_DETAIL = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,"
    "资金变更提交申请人,备注,业务凭证号"
)
FLOW_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


@dataclass(frozen=True)
class Row:
    """One line of the trade bill; a refund has `refund_fen` and its numbers, and no `order_fen`.

    `coupon_fen` is the voucher of a payment, or what of it a refund gives back; `given_fen` is the part of
    it that nobody pays.
    """

    at: datetime
    app_id: str
    mch_id: str
    transaction_id: str
    out_trade_no: str
    openid: str
    description: str
    attach: str
    order_fen: int = 0
    refund_id: str = ""
    out_refund_no: str = ""
    refund_fen: int = 0
    refund_state: str = ""
    coupon_fen: int = 0
    given_fen: int = 0

    @property
    def settled_fen(self) -> int:
        """What the merchant gets (payment) or gives (refund)."""
        return (self.order_fen or self.refund_fen) - self.given_fen

    @property
    def charged_coupon_fen(self) -> int:
        """The part of the voucher that moves money."""
        return self.coupon_fen - self.given_fen


def trade_csv(rows: list[Row], counted: list[Row] | None = None) -> bytes:
    """The file: BOM, header, rows, totals; CRLF. `counted` are the rows the totals speak of."""
    summed = rows if counted is None else counted
    came, went = [r for r in summed if r.order_fen], [r for r in summed if not r.order_fen]
    settled_fen, back_fen = sum(r.settled_fen for r in came), sum(r.settled_fen for r in went)
    coupons_fen = sum(r.charged_coupon_fen for r in went)
    totals = [f"{len(summed)}.0", _yuan(settled_fen), _yuan(back_fen), _yuan(coupons_fen), "0.00"]
    totals += [_yuan(sum(r.order_fen for r in came)), _yuan(sum(r.refund_fen for r in went))]
    return _csv([DETAIL, *map(_line, map(_fields, rows)), TOTALS, _line(totals)])


def fundflow_csv(rows: list[Row], opening_fen: int = 0) -> bytes:
    """The fund-flow bill of the same rows; `opening_fen` is what the day before left.

    A refund takes the money when it is accepted, also one that turns ABNORMAL: it then waits between
    the accounts. One that is CLOSED found no money to take, so it has no row. Amounts are without
    fees, as in the trade bill. Source: pay.weixin.qq.com/doc/v3/merchant/4013071031 (2.2 to 2.4).
    """
    booked = [row for row in rows if moves_money(row)]
    left_fen, lines = opening_fen, []
    for row in booked:
        left_fen += row.settled_fen if row.order_fen else -row.settled_fen
        lines.append(_line(_flow_fields(row, left_fen)))
    came, went = [r for r in booked if r.order_fen], [r for r in booked if not r.order_fen]
    totals = [f"{len(booked)}.0", f"{len(came)}.0", _yuan(sum(r.settled_fen for r in came))]
    totals += [f"{len(went)}.0", _yuan(sum(r.settled_fen for r in went))]
    return _csv([FLOW_DETAIL, *lines, FLOW_TOTALS, _line(totals)])


def moves_money(row: Row) -> bool:
    """Whether the merchant's account changes by this row."""
    return row.refund_state != CLOSED


def _flow_fields(row: Row, left_fen: int) -> list[str]:
    income = bool(row.order_fen)
    return [
        _time(row.at),
        row.transaction_id if income else row.refund_id,
        row.transaction_id,
        "交易" if income else "退款",
        "交易" if income else "退款",
        "收入" if income else "支出",
        _yuan(row.settled_fen),
        _yuan(left_fen),
        "system",
        f"结算总金额 {_yuan(row.settled_fen)} 元;含手续费 0.00 元"
        if income
        else f"退款总金额{_yuan(row.settled_fen)}元;含手续费0.00元",
        row.out_trade_no if income else row.out_refund_no,
    ]


def _fields(row: Row) -> list[str]:
    back = not row.order_fen
    return [
        _time(row.at),
        row.app_id,
        row.mch_id,
        "0",
        "",
        row.transaction_id,
        row.out_trade_no,
        row.openid,
        "JSAPI",
        "REFUND" if back else SUCCESS,
        "OTHERS",
        "CNY",
        "0.00" if back else _yuan(row.settled_fen),
        "0.00" if back else _yuan(row.coupon_fen),
        row.refund_id if back else "0",
        row.out_refund_no if back else "0",
        _yuan(row.settled_fen) if back else "0.00",
        _yuan(row.charged_coupon_fen) if back else "0.00",
        "ORIGINAL" if back else "",
        row.refund_state,
        row.description,
        row.attach,
        "0.00000",
        "0.60%",
        _yuan(row.order_fen),
        _yuan(row.refund_fen),
        "",
    ]


def _csv(lines: list[str]) -> bytes:
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode()


def _line(fields: list[str]) -> str:
    return ",".join(f"`{field}" for field in fields)


def _time(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
