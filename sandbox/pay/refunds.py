"""Refunds of one merchant: what may be asked for and what becomes of it.

Source: pay.weixin.qq.com/doc/v3/merchant/4012791862 (退款申请), 4012791863 (查询单笔退款).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandbox.engine import Engine
from sandbox.pay.errors import PayError, too_many
from sandbox.pay.orders import BEIJING, CASH, SUCCESS, Order, OrderBook, beijing
from sandbox.pay.transaction import coupon_id

PROCESSING = "PROCESSING"
ABNORMAL = "ABNORMAL"
CLOSED = "CLOSED"
ENDS = frozenset({SUCCESS, ABNORMAL, CLOSED})
# ABNORMAL is finished by hand in the console.
WAYS = {PROCESSING: ENDS, ABNORMAL: frozenset({SUCCESS, CLOSED})}

LIFE = timedelta(days=365)
APART = timedelta(seconds=60)
PARTS_MAX = 50
ACCOUNT = "支付用户零钱"


@dataclass(frozen=True)
class RefundRequest:
    """A checked request; all of it is compared when the number comes again."""

    out_refund_no: str
    out_trade_no: str
    amount_fen: int
    total_fen: int
    reason: str
    notify_url: str


@dataclass
class Refund:
    """One accepted out_refund_no. `external`: made in the merchant console, not through the API."""

    request: RefundRequest
    refund_id: str
    order: Order
    created_at: datetime
    accepted_at: datetime
    external: bool = False
    status: str = PROCESSING
    success_at: datetime | None = None

    @property
    def coupon_fen(self) -> int:
        """What of the order's voucher goes back with it: its share of the amount, rounded down to a fen."""
        return self.order.coupon_fen * self.request.amount_fen // self.request.total_fen

    @property
    def given_fen(self) -> int:
        """The part of it that nobody had paid."""
        return self.coupon_fen if self.order.given_fen else 0


class RefundBook:
    """All refunds; the caller holds the engine's lock. Paces and lives go by the virtual clock.

    `keep` hears of every refund that changed.
    """

    def __init__(self, engine: Engine, orders: OrderBook, keep: Callable[[Refund], None]) -> None:
        self._engine = engine
        self._orders = orders
        self._keep = keep
        self._refunds: dict[str, Refund] = {}

    def accept(self, order: Order, request: RefundRequest, *, external: bool = False) -> tuple[Refund, bool]:
        """The refund of that number and whether it is new; an unchanged repetition finds the first one.

        Raises: PayError - other parameters, not paid, too late, too much, too many, too fast.
        """
        known = self._refunds.get(request.out_refund_no)
        if known is not None:
            if known.request != request:
                raise _invalid("请求重入时，参数与首次请求时不一致")
            return known, False
        self._check(order, request)
        now = self._site_now()
        tail = self._engine.chance.about("refund_id", request.out_refund_no).digits(16)
        refund = Refund(
            request=request,
            refund_id=f"5030{now.astimezone(BEIJING):%Y%m%d}{tail}",
            order=order,
            created_at=now,
            accepted_at=self._engine.clock.now(),
            external=external,
        )
        self._refunds[request.out_refund_no] = refund
        self._orders.mark_refunded(order)
        self._keep(refund)
        return refund, True

    def bring_back(self, refund: Refund) -> None:
        """A refund that was kept, as it was last."""
        self._refunds[refund.request.out_refund_no] = refund

    def get(self, out_refund_no: str) -> Refund:
        """The refund of that number, or PayError 404: it was never accepted."""
        refund = self._refunds.get(out_refund_no)
        if refund is None:
            raise PayError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return refund

    def settle(self, refund: Refund, status: str) -> bool:
        """Move on; False when the refund cannot get there from where it is."""
        if status not in WAYS.get(refund.status, ()):
            return False
        refund.status = status
        if status == SUCCESS:
            refund.success_at = self._site_now()
        self._keep(refund)
        return True

    def all(self) -> list[Refund]:
        """Oldest first."""
        return list(self._refunds.values())

    def of(self, out_trade_no: str) -> list[Refund]:
        """The refunds of one order, oldest first."""
        return [one for one in self._refunds.values() if one.request.out_trade_no == out_trade_no]

    def _check(self, order: Order, request: RefundRequest) -> None:
        if order.state != SUCCESS or order.success_at is None:
            raise _invalid("订单未支付，不能退款")
        if request.total_fen != order.request.amount_fen:
            raise _invalid("订单金额或退款金额与之前请求不一致，请核实后再试")
        if self._site_now() - order.success_at > LIFE:
            raise _invalid("订单已经超过可退款的最大期限")
        earlier = self.of(request.out_trade_no)
        spoken_fen = sum(one.request.amount_fen for one in earlier if one.status != CLOSED)
        if spoken_fen + request.amount_fen > order.request.amount_fen:
            raise _invalid("申请退款金额大于订单剩余可退金额" if spoken_fen else "退款金额大于订单金额")
        if len(earlier) >= PARTS_MAX:
            raise _invalid("部分退款次数超限")
        if earlier and self._engine.clock.now() - earlier[-1].accepted_at < APART:
            raise too_many()

    def _site_now(self) -> datetime:
        return datetime.fromtimestamp(self._engine.stamp(), UTC)


def answer(refund: Refund) -> dict[str, object]:
    """The refund object of both endpoints."""
    request = refund.request
    shown: dict[str, object] = {
        "refund_id": refund.refund_id,
        "out_refund_no": request.out_refund_no,
        "transaction_id": refund.order.transaction_id,
        "out_trade_no": request.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": ACCOUNT,
        "create_time": beijing(refund.created_at),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            **_amount(refund),
            "settlement_refund": request.amount_fen - refund.given_fen,
            "settlement_total": request.total_fen - refund.order.given_fen,
            "discount_refund": refund.coupon_fen,
            "currency": "CNY",
        },
        "promotion_detail": _promotions(refund),
    }
    return shown if refund.success_at is None else {**shown, "success_time": beijing(refund.success_at)}


def resource(refund: Refund) -> dict[str, object]:
    """The object inside a refund notification: other names for some things, and fewer of them."""
    shown: dict[str, object] = {
        "mchid": refund.order.request.mch_id,
        "transaction_id": refund.order.transaction_id,
        "out_trade_no": refund.request.out_trade_no,
        "refund_id": refund.refund_id,
        "out_refund_no": refund.request.out_refund_no,
        "refund_status": refund.status,
        "user_received_account": ACCOUNT,
        "amount": _amount(refund),
    }
    return shown if refund.success_at is None else {**shown, "success_time": beijing(refund.success_at)}


def _amount(refund: Refund) -> dict[str, object]:
    fen, total_fen = refund.request.amount_fen, refund.request.total_fen
    return {
        "total": total_fen,
        "refund": fen,
        "payer_total": total_fen - refund.order.coupon_fen,
        "payer_refund": fen - refund.coupon_fen,
    }


def _promotions(refund: Refund) -> list[dict[str, object]]:
    order = refund.order
    if not order.coupon_fen:
        return []
    return [
        {
            "promotion_id": coupon_id(order),
            "scope": "GLOBAL",
            "type": "COUPON" if order.coupon_kind == CASH else "DISCOUNT",
            "amount": order.coupon_fen,
            "refund_amount": refund.coupon_fen,
        }
    ]


def _invalid(message: str) -> PayError:
    return PayError(400, "INVALID_REQUEST", message)
