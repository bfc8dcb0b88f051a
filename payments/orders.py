"""What a person does with an order: start it, look at it, ask where the money is, give it up.

How an order gets paid is `payments.confirm`, how it is closed `payments.settle`, how the money
reaches billing `payments.credit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing.interface import AccountName, Offer
from models.errors import Conflict, IllegalTransition, NoSuchOrder, Unknown
from models.order import (
    Order,
    OrderAction,
    OrderEvent,
    OrderStatus,
    PaymentAttempt,
    advance,
    attempts_of,
    credit_of,
    credits_of,
    find_order,
    lock_order,
    orders_of,
)
from models.recovery import check_not_recovering
from models.refund import NOTHING_BACK, money_back_of
from models.swap import SwapIntent, swaps_of
from payments import daily_limit, numbers, outbox, settle, swap, unconfirmed
from payments.amount import check_amount
from payments.attach import Attach
from payments.services import Services
from payments.views import OrderView, Step, view_of
from payments.wechatpay.errors import AlreadyPaid, OrderClosed, PayRefused

# An open order with less time left than this is not offered again: nobody pays that fast.
REUSE_MARGIN = timedelta(minutes=2)
# WeChat keeps a prepay_id for two hours; ours is renewed a little earlier.
PREPAY_LIFE = timedelta(minutes=110)
DESCRIPTION = "校园网网费充值"


@dataclass(frozen=True)
class Wanted:
    """What a person asks for, before it is an order."""

    openid: str
    account: AccountName
    amount_fen: int
    offer: Offer | None

    @property
    def open_key(self) -> str:
        """The same wish finds the same open order; at another price it is another wish."""
        key = f"{self.openid}|{self.account.account_no}|{self.amount_fen}"
        return key if self.offer is None else f"{key}|{self.offer.code}|{self.offer.price_fen}"

    @property
    def purpose(self) -> Attach:
        """What WeChat keeps with the payment."""
        if self.offer is None:
            return Attach(self.account.account_no)
        return Attach(self.account.account_no, self.offer.code, self.offer.price_fen)


def start_recharge(
    services: Services, *, openid: str, account_no: str, amount_fen: int, then_package: str | None = None
) -> OrderView:
    """Commit an order, or find the open one of the same person, account, amount and package.

    Args:
        then_package: code of a package to swap for, at today's price, as soon as the money has arrived.
    Raises: AmountOutOfRange, NoSuchAccount, LimitReached, PackageNotOffered, SoldOut;
        Unavailable - billing cannot be asked now.
    """
    check_amount(amount_fen, services.rules)
    account = services.billing.find_account(account_no)
    offer = None if then_package is None else swap.find_wished(services, account.account_no, then_package)
    wanted = Wanted(openid, account, amount_fen, offer)
    now = services.clock()
    for _ in range(3):
        try:
            with services.transaction() as session:
                check_not_recovering(session)
                order = _reusable(session, wanted.open_key, now)
                if order is None:
                    daily_limit.check_new(
                        session,
                        openid=openid,
                        account_no=wanted.account.account_no,
                        amount_fen=amount_fen,
                        rules=services.rules,
                        now=now,
                    )
                    order = _new_order(session, services, wanted, now)
                return view_of(order, None, session.get(SwapIntent, order.id))
        except IntegrityError:
            # A second tab was faster: its order is the open one now.
            continue
    raise Conflict("open order changes too fast")


def pay_params(services: Services, *, order_no: str, openid: str) -> dict[str, str]:
    """Prepare the order at WeChat and return what `getBrandWCPayRequest` needs.

    Asked again it uses the same `out_trade_no`. Raises: NoSuchOrder, IllegalTransition - paid or
    closed; LimitReached - so much was paid today; Unknown, Unavailable - WeChat did not answer; the
    order stays payable.
    """
    order, attempt = _payable(services, order_no, openid)
    if attempt.prepay_id and attempt.prepaid_at and services.clock() - attempt.prepaid_at < PREPAY_LIFE:
        return services.pay.jsapi_params(attempt.prepay_id)
    try:
        prepay_id = _prepay(services, order, attempt)
    except AlreadyPaid:
        with _nothing_said():
            settle.ask(services, order_no)
        raise IllegalTransition("这笔订单已经支付，请勿重复支付") from None
    except OrderClosed:
        attempt = _next_attempt(services, order_no, attempt)
        prepay_id = _prepay(services, order, attempt)
    # Given up or paid while WeChat answered: then nobody shall be asked to pay it.
    _check_payable(_record_prepay(services, order_no, attempt.id, prepay_id), services.clock())
    return services.pay.jsapi_params(prepay_id)


def look(services: Services, *, order_no: str, openid: str) -> OrderView:
    """The payer's order. Raises: NoSuchOrder."""
    with services.reading() as session:
        order = _own(session, order_no, openid)
        back = money_back_of(session, [order.id]).get(order.id, NOTHING_BACK)
        return view_of(order, credit_of(session, order.id), session.get(SwapIntent, order.id), back)


def history(
    services: Services, *, openid: str, before_id: int | None = None, limit: int = 20
) -> list[OrderView]:
    """The payer's orders, newest first; `before_id` continues after the last `OrderView.id` seen."""
    with services.reading() as session:
        found = orders_of(session, openid, limit=limit, before_id=before_id)
        ids = [order.id for order in found]
        credited, swaps = credits_of(session, ids), swaps_of(session, ids)
        back = money_back_of(session, ids)
        return [
            view_of(order, credited.get(order.id), swaps.get(order.id), back.get(order.id, NOTHING_BACK))
            for order in found
        ]


def check_now(services: Services, *, order_no: str, openid: str) -> OrderView:
    """没到账: ask WeChat now, record a payment that we had missed, hurry the credit.

    Raises: NoSuchOrder; Unknown, Unavailable - WeChat did not answer.
    """
    view = look(services, order_no=order_no, openid=openid)
    if view.paid_at is None:
        with _nothing_said():
            settle.ask(services, order_no)
    now = services.clock()
    with services.transaction() as session:
        outbox.hasten(session, "credit", order_no, due_at=now)
    services.wake()
    return look(services, order_no=order_no, openid=openid)


@dataclass(frozen=True)
class Checked:
    """What 没到账 found. `shown` comes first; `also_paid` are other orders whose money is on its way."""

    shown: OrderView
    also_paid: tuple[OrderView, ...]


def check_open(services: Services, *, openid: str) -> Checked | None:
    """没到账 for all open orders of a payer: ask WeChat about each, record and expedite what was paid.

    A paid order comes first; an unpaid one is shown only when no other is paid and on its way.

    Returns: None without any order.
    Raises: Unknown - nothing is known to be paid, and WeChat did not answer about some order.
    """
    answers = unconfirmed.query_open(services, openid)
    found = history(services, openid=openid, limit=unconfirmed.ORDERS_MAX)
    listed = {view.order_no for view in found}
    # Open orders may be older than the newest ones.
    older = [number for number in answers.paid if number not in listed]
    found += [look(services, order_no=number, openid=openid) for number in older]
    if not found:
        return None
    paid = [view for view in found if view.step in (Step.CREDITING, Step.ATTENTION)]
    paid.sort(key=lambda view: view.order_no not in answers.paid)
    if paid:
        now = services.clock()
        with services.transaction() as session:
            for view in paid:
                outbox.hasten(session, "credit", view.order_no, due_at=now)
        services.wake()
        return Checked(paid[0], tuple(paid[1:]))
    if answers.unanswered:
        raise Unknown("WeChat did not answer about an open order")
    open_ones = [view for view in found if not view.settled]
    return Checked((open_ones or found)[0], ())


def cancel(services: Services, *, order_no: str, openid: str) -> OrderView:
    """Give an unpaid order up, by query-close-query; a payment that was faster wins."""
    look(services, order_no=order_no, openid=openid)
    with _nothing_said():
        settle.end(services, order_no, OrderAction.CLOSE, cause="payer")
    return look(services, order_no=order_no, openid=openid)


@contextmanager
def _nothing_said() -> Iterator[None]:
    """A question that WeChat refuses says nothing about the money: nobody shall read that none was taken."""
    try:
        yield
    except PayRefused as refused:
        raise Unknown(f"WeChat refused the question: {refused.code}") from None


def _own(session: Session, order_no: str, openid: str) -> Order:
    order = find_order(session, order_no)
    if order is None or order.payer_openid != openid:
        raise NoSuchOrder
    return order


def _reusable(session: Session, open_key: str, now: datetime) -> Order | None:
    order = session.scalar(select(Order).where(Order.open_key == open_key))
    if order is None or order.expires_at - now > REUSE_MARGIN:
        return order
    # About to expire: let the settle job end it, and free the key for a new order.
    order.open_key = None
    session.flush()  # the key must be free before the new order takes it
    return None


def _new_order(session: Session, services: Services, wanted: Wanted, now: datetime) -> Order:
    order = Order(
        order_no=numbers.new_order_no(now),
        open_key=wanted.open_key,
        source=daily_limit.SOURCE,
        payer_openid=wanted.openid,
        account_no=wanted.account.account_no,
        masked_name=wanted.account.masked_name,
        amount_fen=wanted.amount_fen,
        status=OrderStatus.CREATED,
        late=False,
        created_at=now,
        expires_at=now + timedelta(seconds=services.rules.order_ttl_s),
    )
    session.add(order)
    session.flush()  # the id is needed by the attempt and the event
    session.add(_attempt(services, order, 1, wanted.purpose, now))
    session.add(
        OrderEvent(
            order_id=order.id, status=OrderStatus.CREATED, action=OrderAction.CREATE, cause="payer", at=now
        )
    )
    if wanted.offer is not None:
        swap.check_payer(
            session,
            openid=wanted.openid,
            account_no=order.account_no,
            amount_fen=order.amount_fen,
            offer=wanted.offer,
        )
        swap.wish(session, order, wanted.offer)
    outbox.put(
        session, "settle", order.order_no, {"order_no": order.order_no}, now=now, due_at=order.expires_at
    )
    return order


def _attempt(services: Services, order: Order, seq: int, purpose: Attach, now: datetime) -> PaymentAttempt:
    number = numbers.out_trade_no(order.order_no, seq)
    return PaymentAttempt(
        order_id=order.id,
        seq=seq,
        out_trade_no=number,
        attach=services.attach.sign(purpose, out_trade_no=number, amount_fen=order.amount_fen),
        created_at=now,
    )


def _payable(services: Services, order_no: str, openid: str) -> tuple[Order, PaymentAttempt]:
    with services.reading() as session:
        check_not_recovering(session)
        order = _own(session, order_no, openid)
        _check_payable(order, services.clock())
        daily_limit.check_payable(session, order, rules=services.rules, now=services.clock())
        return order, attempts_of(session, order.id)[-1]


def _check_payable(order: Order, now: datetime) -> None:
    if order.status == OrderStatus.PAID:
        raise IllegalTransition("这笔订单已经支付，请勿重复支付")
    if order.status not in (OrderStatus.CREATED, OrderStatus.PREPAID):
        raise IllegalTransition("这笔订单已关闭，请重新下单")
    if order.expires_at <= now:
        raise IllegalTransition("这笔订单已过期，请重新下单")


def _prepay(services: Services, order: Order, attempt: PaymentAttempt) -> str:
    return services.pay.prepay(
        out_trade_no=attempt.out_trade_no,
        description=f"{services.site.name}-{DESCRIPTION}",
        amount_fen=order.amount_fen,
        openid=order.payer_openid,
        expires_at=order.expires_at,
        # Placed again it must be the same as the first time, whatever is configured by now.
        attach=attempt.attach or "",
    )


def _next_attempt(services: Services, order_no: str, last: PaymentAttempt) -> PaymentAttempt:
    """A fresh number after WeChat closed the last one (somebody closed it in the merchant console).

    Two tabs get the same one. Raises: IllegalTransition - it was the payer who closed it, meanwhile.
    """
    now = services.clock()
    with services.transaction() as session:
        order = lock_order(session, order_no)
        _check_payable(order, now)
        newest = attempts_of(session, order.id)[-1]
        if newest.seq > last.seq:
            return newest
        intent = session.get(SwapIntent, order.id)
        purpose = Attach(order.account_no)
        if intent is not None:
            purpose = Attach(order.account_no, intent.package_code, intent.price_fen)
        attempt = _attempt(services, order, last.seq + 1, purpose, now)
        session.add(attempt)
    return attempt


def _record_prepay(services: Services, order_no: str, attempt_id: int, prepay_id: str) -> Order:
    now = services.clock()
    with services.transaction() as session:
        order = lock_order(session, order_no)
        attempt = session.get_one(PaymentAttempt, attempt_id)
        attempt.prepay_id, attempt.prepaid_at = prepay_id, now
        if order.status == OrderStatus.CREATED:
            advance(session, order, OrderAction.PREPAY, cause="payer", now=now)
        outbox.hasten(session, "settle", order_no, due_at=now + settle.FIRST_ASK)
        return order
