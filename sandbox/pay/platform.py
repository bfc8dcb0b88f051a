"""The pay platform of one merchant: orders, keys, notifications and the payer's side of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from sandbox import fault_catalogue
from sandbox.engine import Engine
from sandbox.fault_catalogue import Magic
from sandbox.faults import Fault
from sandbox.pay import crypto
from sandbox.pay.bills import Bills
from sandbox.pay.keep import Keep, order_of, refund_of
from sandbox.pay.keys import PlatformKeys
from sandbox.pay.notify import Notifier, paid_event
from sandbox.pay.orders import CASH, NOCASH, Order, OrderBook, PaidOrder, Unpayable
from sandbox.pay.refunds import RefundBook

MERCHANT = "模拟商户"
PACKAGE = "prepay_id="
PAYMENT_PLACE = "pay.payment"
COUPONS = {"voucher": CASH, "discount": NOCASH}


class PayPlatform:
    """WeChat Pay for one merchant; the views are thin entrances to it.

    Args:
        engine: clock, log, faults, credentials, lock.
        openid_exists: whether a person of that openid exists under our app.
        seed: where the turns of the `mixed` mode begin; the engine's by default.
        keep: where orders, refunds and changed keys outlive the process; `recover` brings them back.
    `on_paid` is called with (openid, order) after each payment, before the merchant is told.
    """

    def __init__(
        self,
        engine: Engine,
        openid_exists: Callable[[str], bool],
        *,
        seed: int | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.engine = engine
        self.openid_exists = openid_exists
        self._seed = seed
        self._keep = keep or Keep()
        self._begin()
        self.on_paid: Callable[[str, PaidOrder], None] | None = None
        self._sheets: dict[str, tuple[str, str]] = {}

    def reset(self) -> None:
        """Forget all orders and pay sheets; mode and magic go back to their defaults."""
        with self.engine.lock:
            self._keep.forget()
            self._begin()
            self._sheets.clear()

    def open_sheet(self, openid: str, params: dict[str, object]) -> tuple[str, Order]:
        """What `getBrandWCPayRequest` does first: check and show; the token of the sheet and its order.

        Raises: Unpayable - signature, prepay_id, payer or state; the text says which.
        """
        package = self._check_params(params)
        with self.engine.lock:
            order = self.book.by_prepay(package.removeprefix(PACKAGE))
            self.book.check_payable(order, openid)
            token = secrets.token_hex(16)
            self._sheets[token] = (order.request.out_trade_no, openid)
        return token, order

    def confirm_sheet(self, token: str) -> PaidOrder:
        """The payer typed six digits.

        Raises: Unpayable - the sheet is gone or the order cannot be paid any more.
        """
        with self.engine.lock:
            out_trade_no, openid = self._sheets.pop(token, ("", ""))
            if not out_trade_no:
                raise Unpayable("支付页面已失效")
        return self.pay(out_trade_no, openid)

    def cancel_sheet(self, token: str) -> None:
        """The payer closed the sheet; the order stays payable."""
        with self.engine.lock:
            self._sheets.pop(token, None)

    def pay(self, out_trade_no: str, openid: str | None = None, *, force: bool = False) -> PaidOrder:
        """Take the money and start telling the merchant.

        Args:
            openid: the payer; the order's own by default.
            force: pay even though the order is closed or over, as a payment under way may.
        Raises: Unpayable, or PayError when there is no such order.
        """
        with self.engine.lock:
            order = self.book.get(out_trade_no)
            if not force:
                self.book.check_payable(order, openid or order.request.openid)
            elif order.success_at is not None:
                raise Unpayable("订单已支付")
            self.book.pay(order, *self._coupon(order.request.amount_fen))
            paid = self._receipt(order)
        if self.on_paid is not None:
            self.on_paid(paid.openid, paid)
        event = paid_event(order)
        self.notifier.announce(event, self.fault(event.place, order.request.amount_fen))
        return paid

    def recover(self) -> None:
        """Bring back what was kept; refunds that were under way go on."""
        with self.engine.lock:
            for kind, line in self._keep.lines():
                if kind == "order":
                    self.book.bring_back(order_of(line))
                elif kind == "burned":
                    self.book.bring_back_burned(line["out_trade_no"])
                elif kind == "keys":
                    self.keys.bring_back(line)
                else:
                    self.refunds.bring_back(refund_of(line, self.book.get(line["order"])))

    def close(self) -> None:
        """Keep nothing from now on."""
        self._keep.close()

    def magic(self, place: str, amount_fen: int) -> Magic | None:
        """What an order of this amount does at `place`, when magic amounts are on."""
        found = (one for one in fault_catalogue.MAGIC if (one.place, one.fen) == (place, amount_fen))
        return next(found, None) if self.magic_on else None

    def fault(self, place: str, amount_fen: int) -> Fault | None:
        """What goes wrong at `place` with an order of this amount: by magic, or else by a rule."""
        magic = self.magic(place, amount_fen)
        if magic is not None and magic.name != fault_catalogue.CANCEL:
            return Fault(magic.name, place, args=dict(magic.args))
        return self.engine.faults.take(place)

    def _begin(self) -> None:
        self.magic_on = False
        seed = self.engine.chance.seed if self._seed is None else self._seed
        self.keys = PlatformKeys(self.engine.credentials, self.engine.chance, seed=seed, keep=self._keep.keys)
        self.notifier = Notifier(self.engine, self.keys)
        self.bills = self._new_bills()
        self.book = OrderBook(self.engine, self._keep.order, self._keep.burned)
        self.refunds = RefundBook(self.engine, self.book, self._keep.refund)

    def _new_bills(self) -> Bills:
        return Bills(self.engine, lambda: self.book.all(), lambda: self.refunds.all())  # noqa: PLW0108 - the books are replaced by reset

    def _coupon(self, amount_fen: int) -> tuple[int, str]:
        """The part of a payment that a voucher pays, and its kind."""
        fault = self.fault(PAYMENT_PLACE, amount_fen)
        if fault is None or fault.name not in COUPONS:
            return 0, ""
        return min(int(fault.setting("fen")), amount_fen), COUPONS[fault.name]

    def _receipt(self, order: Order) -> PaidOrder:
        request = order.request
        return PaidOrder(
            out_trade_no=request.out_trade_no,
            transaction_id=order.transaction_id,
            openid=request.openid,
            amount_fen=request.amount_fen,
            description=request.description,
            merchant=MERCHANT,
            success_at=order.success_at or self.engine.clock.now(),
        )

    def _check_params(self, params: dict[str, object]) -> str:
        names = ("appId", "timeStamp", "nonceStr", "package", "signType", "paySign")
        values = {name: params.get(name) for name in names}
        for name, value in values.items():
            if not isinstance(value, str) or not value:
                raise Unpayable(f"调用支付JSAPI缺少参数：{name}（必须是字符串）")
        texts = {name: str(value) for name, value in values.items()}
        if texts["appId"] != self.engine.credentials.app_id:
            raise Unpayable("appId 与当前公众号不一致")
        if texts["signType"] != "RSA":
            raise Unpayable("signType 必须是 RSA")
        if not texts["package"].startswith(PACKAGE):
            raise Unpayable("package 应为 prepay_id=…")
        message = crypto.pay_message(texts["appId"], texts["timeStamp"], texts["nonceStr"], texts["package"])
        if not crypto.verify(self.keys.merchant, message, texts["paySign"]):
            raise Unpayable("支付验证签名失败")
        return texts["package"]
