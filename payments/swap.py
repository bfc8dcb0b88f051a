"""Recharge and swap: the wish is fixed with the order, and kept when its money has arrived.

Whatever becomes of the swap, the money is in the balance already: a refusal costs nothing, and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import Balance, ExchangeReceipt, Offer
from models import journal
from models.errors import AmountOutOfRange, NoSuchOrder, PackageNotOffered, Refused, SoldOut
from models.money import yuan_short
from models.order import Order, find_order
from models.person import bound_account
from models.swap import SwapIntent, SwapStatus, end_swap
from models.tidings import Tidings
from payments import numbers, outbox
from payments.amount import least_amount
from payments.outcome import Done, Outcome
from payments.services import Services
from payments.wording import swap_refused, swapped

KIND = "swap"


def find_wished(services: Services, account_no: str, code: str) -> Offer:
    """The package that the account is to have. Raises: PackageNotOffered, SoldOut; Unavailable."""
    if not services.billing.capabilities().exchange:
        raise PackageNotOffered("暂不支持充值后自动换购，请在自助服务系统中换购")
    offer = next((offer for offer in services.billing.catalogue(account_no) if offer.code == code), None)
    if offer is None:
        raise PackageNotOffered
    if offer.stock_left == 0:
        raise SoldOut
    return offer


def missing_fen(services: Services, seen: Balance, offers: Sequence[Offer]) -> dict[str, int]:
    """For each package that only money stands in the way of: what the account lacks, by code.

    A first look without asking billing about each; the page that takes the order looks again.
    """
    running = seen.package is not None and seen.package.left_bytes > 0
    if running or not services.billing.capabilities().exchange:
        return {}
    lacking = {
        offer.code: offer.price_fen - seen.balance_fen
        for offer in offers
        if offer.price_fen > seen.balance_fen and offer.stock_left != 0
    }
    most_fen = services.rules.max_fen
    return {code: fen for code, fen in lacking.items() if least_amount(fen, services.rules) <= most_fen}


def check_payer(session: Session, *, openid: str, account_no: str, amount_fen: int, offer: Offer) -> None:
    """Return when this person may have the package swapped on this account.

    Only its owner may spend what was on the account before. Raises: AmountOutOfRange.
    """
    if amount_fen < offer.price_fen and bound_account(session, openid) != account_no:
        raise AmountOutOfRange(
            f"为他人充值并换购时，充值金额不能低于套餐价格 {yuan_short(offer.price_fen)} 元"
        )


def wish(session: Session, order: Order, offer: Offer) -> None:
    """Fix package and price with a new order."""
    session.add(
        SwapIntent(
            order_id=order.id,
            package_code=offer.code,
            package_name=offer.name,
            price_fen=offer.price_fen,
            status=SwapStatus.WAITING,
            changed_at=order.created_at,
        )
    )


def promise(session: Session, order: Order, *, now: datetime) -> None:
    """In the commit that says the money has arrived: the swap is due, if one is wished."""
    if session.get(SwapIntent, order.id) is not None:
        outbox.put(session, KIND, order.order_no, {"order_no": order.order_no}, now=now)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `swap`.

    Raises: Unknown, Unavailable - billing did not answer; the worker tries again, asking first.
    """
    order, intent = _load(services, str(held.payload["order_no"]))
    if intent.status != SwapStatus.WAITING:
        return Done()
    key = numbers.swap_no(order.order_no)
    # An earlier try may have arrived: a refusal now would say nothing about it.
    receipt = services.billing.find_exchange(key) if held.attempts > 1 else None
    if receipt is None:
        try:
            receipt = services.billing.exchange(
                order.account_no, intent.package_code, key=key, price_fen=intent.price_fen
            )
        except Refused as refusal:
            _refused(services, held, order, intent, refusal)
            return Done(refusal.code)
    _swapped(services, order, receipt)
    return Done()


def _load(services: Services, order_no: str) -> tuple[Order, SwapIntent]:
    with services.reading() as session:
        order = find_order(session, order_no)
        intent = session.scalar(
            select(SwapIntent).join(Order, Order.id == SwapIntent.order_id).where(Order.order_no == order_no)
        )
        if order is None or intent is None:
            raise NoSuchOrder
        return order, intent


def _swapped(services: Services, order: Order, receipt: ExchangeReceipt) -> None:
    now = services.clock()
    with services.transaction() as session:
        if not end_swap(session, order.id, SwapStatus.DONE, now=now):
            return
        journal.note(
            session,
            "swapped",
            order_no=order.order_no,
            actor="worker",
            now=now,
            package=receipt.code,
            price_fen=receipt.price_fen,
        )
        own = bound_account(session, order.payer_openid) == order.account_no
        _tell(services, session, order, swapped(order, receipt, own=own, at=services.clock()))
    services.wake()


def _refused(
    services: Services, held: outbox.Claim, order: Order, intent: SwapIntent, refusal: Refused
) -> None:
    now = services.clock()
    with services.transaction() as session:
        # A worker that comes back late must not speak against what its successor did.
        outbox.insist(session, held, now=now)
        if not end_swap(session, order.id, SwapStatus.REFUSED, now=now, reason=refusal.code):
            return
        journal.note(
            session,
            "swap_refused",
            order_no=order.order_no,
            actor="worker",
            now=now,
            package=intent.package_code,
            reason=refusal.code,
        )
        own = bound_account(session, order.payer_openid) == order.account_no
        # What is left on an account is for its owner only.
        reason = refusal.text if own else None
        _tell(services, session, order, swap_refused(order, intent.package_name, reason, at=now))
    services.wake()


def _tell(services: Services, session: Session, order: Order, tidings: Tidings) -> None:
    payload = tidings.payload(order.payer_openid)
    outbox.put(session, "message", f"swap:{order.order_no}", payload, now=services.clock())
