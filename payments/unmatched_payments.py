"""Payments that are known only from a bill or a callback: no order of ours has their number.

After a restore, say. Two operators assign one to an account or send it back, but only if it is ours: its
number has our form, or its `attach` carries our signature. Other systems share the merchant number; their
payments are counted and never touched. WeChat is asked about each payment before anything is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.errors import IllegalTransition, Refused
from models.order import (
    Order,
    OrderAction,
    OrderEvent,
    OrderStatus,
    PaymentAttempt,
    credit_of,
    find_order,
)
from models.values.actor import Actor
from payments import numbers
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.refunds import approval as refunds
from payments.refunds.steps import WAITING_CREDIT, void
from payments.services import Services
from payments.settle import REFUNDED, fact_of
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import TradeNotFound

ASSIGNED, SENT_BACK = "assigned", "sent-back"
REASON = "付款未对应到账号，原路退回"


class NotOurs(Refused):
    """The payment belongs to another system on the same merchant number."""

    status = 409
    code = "E-FOREIGN"

    def __init__(self, text: str = "这笔付款不是本系统的订单，不能入账或退款") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Unmatched:
    """A paid trade as WeChat reports it now; `signed_account_no` is what its `attach` proves, if anything."""

    out_trade_no: str
    transaction_id: str
    amount_fen: int
    currency: str
    openid: str
    paid_at: datetime
    signed_account_no: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the payment as it is kept with a proposal."""
        return {**vars(self), "paid_at": self.paid_at.isoformat()}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Unmatched:
        """Return the payment that a proposal was made about."""
        return cls(**{**kept, "paid_at": datetime.fromisoformat(kept["paid_at"])})

    def fact(self) -> PaidFact:
        """Return it as a provider's fact."""
        return PaidFact(
            provider=WECHAT,
            out_trade_no=self.out_trade_no,
            transaction_id=self.transaction_id,
            amount_fen=self.amount_fen,
            currency=self.currency,
            openid=self.openid,
            paid_at=self.paid_at,
        )


def look_up(services: Services, out_trade_no: str) -> Unmatched:
    """Ask WeChat about a payment that no order of ours has.

    Raises:
        NotOurs: it belongs to another system.
        Refused: WeChat does not know it, it is not paid, or (part of) it went back already.
        Mismatch: another app or merchant, or a field is missing.
        Unknown, Unavailable: WeChat did not answer.
    """
    if out_trade_no.startswith(services.rules.foreign_prefixes or ("\0",)):
        raise NotOurs
    try:
        trade = services.pay.query(out_trade_no)
    except TradeNotFound:
        raise Refused("微信支付没有这笔订单") from None
    signed = _signed_account(services, trade)
    if signed is None and not numbers.is_ours(out_trade_no):
        raise NotOurs
    fact = fact_of(trade, services.pay.app_id, services.pay.mch_id)
    if fact is None:
        raise Refused(f"微信支付未确认付款（{trade.trade_state}）")
    if trade.trade_state == REFUNDED:
        raise Refused("这笔付款已有退款，请在商户平台核对")
    return Unmatched(
        out_trade_no=fact.out_trade_no,
        transaction_id=fact.transaction_id,
        amount_fen=fact.amount_fen,
        currency=fact.currency,
        openid=fact.openid or "",
        paid_at=fact.paid_at,
        signed_account_no=signed,
    )


def check_account(found: Unmatched, account_no: str) -> None:
    """Return if the payment may be credited to this account. Raises: Refused - it names another one."""
    if found.signed_account_no not in (None, account_no):
        raise Refused(f"这笔付款注明的账号是 {found.signed_account_no}")


def assign(
    session: Session, found: Unmatched, *, account_no: str, masked_name: str, actor: Actor, now: datetime
) -> Order:
    """Write the missing order and confirm its payment, which is credited like any other.

    Raises: IllegalTransition - an order of this number pays into another account; Mismatch - it differs.
    """
    order = _order_for(session, found, account_no, masked_name, now)
    if order.account_no != account_no:
        raise IllegalTransition("这笔付款的订单属于另一个账号")
    order = confirm_paid(session, found.fact(), cause=ASSIGNED, now=now)
    _note(session, order, found, ASSIGNED, actor=actor, now=now)
    return order


def send_back(
    session: Session, found: Unmatched, *, requested_by: Actor, approved_by: Actor, now: datetime
) -> Order:
    """Write the missing order, whose money is never credited, and refund it.

    Raises: Mismatch - an order of this number differs; the errors of `refunds.ask_for`.
    """
    order = _order_for(session, found, found.signed_account_no or "", "", now)
    order = confirm_paid(session, found.fact(), cause=SENT_BACK, now=now)
    session.flush()
    credit = credit_of(session, order.id)
    ours = order.transaction_id == found.transaction_id
    if ours and credit is not None and credit.status in WAITING_CREDIT:
        void(session, order, credit, actor=approved_by.name, now=now)
    _note(session, order, found, SENT_BACK, actor=approved_by, now=now)
    wanted = refunds.Wanted(order.order_no, found.amount_fen, REASON, found.out_trade_no)
    refund = refunds.ask_for(session, wanted, actor=requested_by, now=now)
    session.flush()  # its number is looked up by the approval
    refunds.agree_to(session, refund.out_refund_no, actor=approved_by, now=now)
    return order


def _signed_account(services: Services, trade: Trade) -> str | None:
    """Return the account that the signed `attach` of a trade names, where this installation signs them."""
    if not trade.attach or trade.amount_fen is None:
        return None
    attach = services.attach.verify(
        trade.attach, out_trade_no=trade.out_trade_no, amount_fen=trade.amount_fen
    )
    return None if attach is None else attach.account_no


def _order_for(session: Session, found: Unmatched, account_no: str, masked_name: str, now: datetime) -> Order:
    """Return the order of this number, written now if there is none."""
    attempt = session.scalar(select(PaymentAttempt).where(PaymentAttempt.out_trade_no == found.out_trade_no))
    if attempt is not None:
        return session.get_one(Order, attempt.order_id)
    ours = numbers.is_ours(found.out_trade_no)
    order_no = found.out_trade_no[:-2] if ours else numbers.new_order_no(now)
    order = find_order(session, order_no)
    if order is None:
        order = Order(
            order_no=order_no,
            source=WECHAT,
            payer_openid=found.openid,
            account_no=account_no,
            masked_name=masked_name,
            amount_fen=found.amount_fen,
            status=OrderStatus.CREATED,
            late=False,
            created_at=now,
            expires_at=now,
        )
        session.add(order)
        session.flush()  # the id is needed by the attempt and the event
        session.add(
            OrderEvent(
                order_id=order.id,
                status=OrderStatus.CREATED,
                action=OrderAction.CREATE,
                cause=ASSIGNED,
                at=now,
            )
        )
    seq = int(found.out_trade_no[-2:]) if ours else 1
    session.add(PaymentAttempt(order_id=order.id, seq=seq, out_trade_no=found.out_trade_no, created_at=now))
    session.flush()  # the payment is confirmed by this number
    return order


def _note(
    session: Session, order: Order, found: Unmatched, what: str, *, actor: Actor, now: datetime
) -> None:
    journal.note(
        session,
        f"unmatched-{what}",
        order_no=order.order_no,
        actor=actor.name,
        now=now,
        out_trade_no=found.out_trade_no,
        transaction_id=found.transaction_id,
        amount_fen=found.amount_fen,
    )
