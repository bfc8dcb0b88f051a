"""Orders of one merchant: what may happen to them and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from sandbox.engine import Engine
from sandbox.pay import errors

BEIJING = timezone(timedelta(hours=8))
PREPAY_LIFE = timedelta(hours=2)
ORDER_LIFE = timedelta(days=7)
SHORTEST_LIFE = timedelta(minutes=1)

NOTPAY = "NOTPAY"
SUCCESS = "SUCCESS"
CLOSED = "CLOSED"

# Kinds of vouchers: the platform pays it to the merchant, or nobody does.
CASH = "CASH"
NOCASH = "NOCASH"


@dataclass(frozen=True)
class PrepayRequest:
    """A checked request to place an order; `parameters` is the whole body, compared on re-entry."""

    out_trade_no: str
    app_id: str
    mch_id: str
    description: str
    notify_url: str
    attach: str
    amount_fen: int
    openid: str
    time_expire_at: datetime | None
    parameters: dict[str, object]


@dataclass(frozen=True)
class PaidOrder:
    """What the payer's receipt shows."""

    out_trade_no: str
    transaction_id: str
    openid: str
    amount_fen: int
    description: str
    merchant: str
    success_at: datetime


@dataclass
class Order:
    """One out_trade_no, from the first prepay on. `prepay_ids` maps each id to its end of life."""

    request: PrepayRequest
    created_at: datetime
    expires_at: datetime
    state: str = NOTPAY
    prepay_ids: dict[str, datetime] = field(default_factory=dict)
    transaction_id: str = ""
    success_at: datetime | None = None
    closed_at: datetime | None = None
    # Once any refund was accepted, whatever becomes of it (trade_state REFUND).
    refunded: bool = False
    # The part of the amount that a voucher paid, and its kind.
    coupon_fen: int = 0
    coupon_kind: str = ""

    @property
    def given_fen(self) -> int:
        """The part that nobody pays."""
        return self.coupon_fen if self.coupon_kind == NOCASH else 0


class Unpayable(Exception):
    """The payer cannot pay this order now; the text says why."""


class OrderBook:
    """All orders; the caller holds the engine's lock.

    Lives end by the virtual clock; times told to the merchant or coming from it are the site's.
    `keep` hears of every order that changed, `keep_burned` of every number closed before it was placed.
    """

    def __init__(
        self, engine: Engine, keep: Callable[[Order], None], keep_burned: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._keep = keep
        self._keep_burned = keep_burned
        self._clock = engine.clock
        self._orders: dict[str, Order] = {}
        self._burned: set[str] = set()

    def place(self, request: PrepayRequest) -> str:
        """A fresh prepay_id for a new order or for a repeated, unchanged request.

        Raises: PayError - the order is paid, closed, expired, or was placed with other parameters.
        """
        now = self._clock.now()
        order = self._orders.get(request.out_trade_no)
        if order is None:
            if request.out_trade_no in self._burned:
                raise errors.already_closed()
            order = Order(request, now, self._expiry(request, now))
            self._orders[request.out_trade_no] = order
        else:
            _refuse_reentry(order, request, now)
        which = f"{request.out_trade_no} {len(order.prepay_ids)}"
        tail = self._engine.chance.about("prepay_id", which).hex(20)
        prepay_id = f"wx{self._site_now().astimezone(BEIJING):%Y%m%d%H%M%S}{tail}"
        order.prepay_ids[prepay_id] = now + PREPAY_LIFE
        self._keep(order)
        return prepay_id

    def get(self, out_trade_no: str) -> Order:
        """The order of that number, or PayError 404."""
        order = self._orders.get(out_trade_no)
        if order is None:
            raise errors.no_such_order()
        return order

    def get_transaction(self, transaction_id: str) -> Order:
        """The order paid under the platform's number, or PayError 404."""
        for order in self._orders.values():
            if transaction_id and order.transaction_id == transaction_id:
                return order
        raise errors.no_such_order()

    def by_prepay(self, prepay_id: str) -> Order:
        """The order a payer opens with this prepay_id.

        Raises: Unpayable - no such id, or its two hours are over.
        """
        for order in self._orders.values():
            ends_at = order.prepay_ids.get(prepay_id)
            if ends_at is not None:
                if ends_at <= self._clock.now():
                    raise Unpayable("prepay_id 已过期，有效期为两小时")
                return order
        raise Unpayable("prepay_id 不存在")

    def close(self, out_trade_no: str) -> None:
        """Close; again is fine. A number that was never placed is burned by it.

        Raises: PayError - the order is paid.
        """
        order = self._orders.get(out_trade_no)
        if order is None:
            self._burned.add(out_trade_no)
            self._keep_burned(out_trade_no)
        elif order.state == SUCCESS:
            raise errors.already_paid()
        elif order.state == NOTPAY:
            order.state = CLOSED
            order.closed_at = self._clock.now()
            self._keep(order)

    def check_payable(self, order: Order, openid: str) -> None:
        """Raise Unpayable unless this person may pay this order now."""
        if order.state != NOTPAY:
            raise Unpayable("订单已支付" if order.state == SUCCESS else "订单已关闭")
        if order.expires_at <= self._clock.now():
            raise Unpayable("订单已超过支付结束时间")
        if order.request.openid != openid:
            raise Unpayable("支付者与下单时的 openid 不一致")

    def pay(self, order: Order, coupon_fen: int = 0, coupon_kind: str = "") -> None:
        """Take the money, part of it as a voucher; the caller has checked that it may."""
        now = self._site_now()
        order.state = SUCCESS
        order.coupon_fen, order.coupon_kind = coupon_fen, coupon_kind
        order.success_at = now
        tail = self._engine.chance.about("transaction_id", order.request.out_trade_no).digits(16)
        order.transaction_id = f"4200{now.astimezone(BEIJING):%Y%m%d}{tail}"
        self._keep(order)

    def mark_refunded(self, order: Order) -> None:
        """A refund of it was accepted."""
        order.refunded = True
        self._keep(order)

    def bring_back(self, order: Order) -> None:
        """An order that was kept, as it was last."""
        self._orders[order.request.out_trade_no] = order

    def bring_back_burned(self, out_trade_no: str) -> None:
        """A number that was closed before it was placed."""
        self._burned.add(out_trade_no)

    def all(self) -> list[Order]:
        """Oldest first."""
        return list(self._orders.values())

    def _expiry(self, request: PrepayRequest, now: datetime) -> datetime:
        if request.time_expire_at is None:
            return now + ORDER_LIFE
        return now + max(request.time_expire_at - self._site_now(), SHORTEST_LIFE)

    def _site_now(self) -> datetime:
        return datetime.fromtimestamp(self._engine.stamp(), UTC)


def beijing(moment: datetime) -> str:
    """RFC 3339 as the platform writes it, +08:00, whole seconds."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def _refuse_reentry(order: Order, request: PrepayRequest, now: datetime) -> None:
    if order.state == SUCCESS:
        raise errors.already_paid()
    if order.state == CLOSED:
        raise errors.already_closed()
    if order.request.parameters != request.parameters:
        raise errors.changed_on_reentry()
    if order.expires_at <= now:
        raise errors.already_expired()
