"""Recharge and swap: the wish is fixed with the order, and kept when its money has arrived.

Whatever becomes of the swap, the money is in the balance already: a refusal costs nothing, and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import Balance, ExchangeReceipt, MoneyCall, Offer
from models import journal
from models.errors import (
    AmountOutOfRange,
    Conflict,
    NoSuchOrder,
    PackageNotOffered,
    Refused,
    SoldOut,
    Unavailable,
    Unknown,
)
from models.money import yuan_short
from models.order import Order, find_order
from models.person import bound_account
from models.review import ReviewKind
from models.swap import SwapIntent, SwapStatus, end_swap, move_swap
from models.tidings import Tidings
from payments import late, numbers, outbox
from payments.amount import least_amount
from payments.billing_call import (
    Applied,
    BillingCall,
    InDoubt,
    NotApplied,
    Unresolvable,
    carry_out,
    prepare,
)
from payments.outcome import Done, Later, Outcome, Park
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

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again and queries first;
        Conflict - another worker has the job.
    """
    order_no = str(held.payload["order_no"])
    order, intent, earlier = _begin(services, held, order_no, _prepare(services, order_no))
    if intent.status != SwapStatus.WAITING:
        return Done()
    answer = carry_out(services, held, _call(services, held, order, intent, earlier))
    match answer:
        case Applied(receipt):
            _swapped(services, order, receipt)
            return Done()
        case NotApplied(Refused() as refusal):
            _refused(services, held, order, intent, refusal)
            return Done(refusal.code)
        case NotApplied(error):
            _set_doubt(services, held, order_no, None)
            raise error
        case InDoubt(doubt_from, error, again_at):
            _set_doubt(services, held, order_no, doubt_from)
            if isinstance(error, Unknown | Unavailable):
                raise error
            backoff = timedelta(seconds=outbox.backoff_s(held.attempts))
            return Later(again_at or services.clock() + backoff)
        case Unresolvable(reason):
            return _leave_to_operator(services, held, order, intent, reason)


def _prepare(services: Services, order_no: str) -> str | None:
    """Get the identifier that billing issues before the call, where it does so and there is none yet."""
    if not services.billing.capabilities().prepare:
        return None
    with services.reading() as session:
        order, intent = _load(session, order_no)
    if intent.status != SwapStatus.WAITING or intent.doubt_from is not None or intent.prepared_ref:
        return intent.prepared_ref
    key = numbers.swap_no(order_no)
    return prepare(services, MoneyCall.EXCHANGE, order.account_no, intent.price_fen, key=key)


def _begin(
    services: Services, held: outbox.Claim, order_no: str, ref: str | None
) -> tuple[Order, SwapIntent, datetime | None]:
    """Mark the wish as being sent. Returns: it with its order, and since when an earlier call is in doubt."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        order, intent = _load(session, order_no, lock=True)
        earlier = intent.doubt_from
        if intent.status == SwapStatus.WAITING and earlier is None:
            intent.doubt_from = held.leased_until
            intent.prepared_ref = intent.prepared_ref or ref
        return order, intent, earlier


def _set_doubt(services: Services, held: outbox.Claim, order_no: str, doubt_from: datetime | None) -> None:
    """Write down since when a call is in doubt; only while the lease runs."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        _, intent = _load(session, order_no, lock=True)
        if intent.status != SwapStatus.WAITING:
            raise Conflict(f"the purchase of order {order_no} has ended")
        intent.doubt_from = doubt_from


def _call(
    services: Services, held: outbox.Claim, order: Order, intent: SwapIntent, earlier: datetime | None
) -> BillingCall[ExchangeReceipt]:
    billing, account_no, key = services.billing, order.account_no, numbers.swap_no(order.order_no)
    code, price_fen = intent.package_code, intent.price_fen
    return BillingCall(
        kind=MoneyCall.EXCHANGE,
        account_no=account_no,
        key=key,
        send=lambda ref: billing.exchange(account_no, code, key=key, price_fen=price_fen, ref=ref),
        find=lambda ref: billing.find_exchange(account_no, key, ref=ref),
        again=lambda: _set_doubt(services, held, order.order_no, held.leased_until),
        doubt_from=earlier,
        ref=intent.prepared_ref,
    )


def _load(session: Session, order_no: str, *, lock: bool = False) -> tuple[Order, SwapIntent]:
    order = find_order(session, order_no)
    query = select(SwapIntent).join(Order, Order.id == SwapIntent.order_id).where(Order.order_no == order_no)
    intent = session.scalar(query.with_for_update(of=SwapIntent) if lock else query)
    if order is None or intent is None:
        raise NoSuchOrder
    return order, intent


def _swapped(services: Services, order: Order, receipt: ExchangeReceipt) -> None:
    """Record the receipt, whatever became of the wish since its call was sent."""
    with services.transaction() as session:
        _, intent = _load(session, order.order_no, lock=True)
        if intent.status == SwapStatus.WAITING:
            record_swapped(session, order, intent, receipt, actor="worker", now=services.clock())
        elif intent.status == SwapStatus.REFUSED:
            late.purchase_made(session, order, intent, receipt, now=services.clock())
    services.wake()


def record_swapped(
    session: Session,
    order: Order,
    intent: SwapIntent,
    receipt: ExchangeReceipt | None,
    *,
    actor: str,
    now: datetime,
) -> None:
    """The package was bought: write it down and tell the payer.

    Args:
        receipt: billing's own; None where operators have seen the purchase there.
    """
    move_swap(session, intent, SwapStatus.DONE, now=now)
    journal.note(
        session,
        "swapped",
        order_no=order.order_no,
        actor=actor,
        now=now,
        package=intent.package_code,
        price_fen=intent.price_fen,
    )
    if receipt is not None:
        own = bound_account(session, order.payer_openid) == order.account_no
        _tell(session, order, swapped(order, receipt, own=own, at=now), now)


def _refused(
    services: Services, held: outbox.Claim, order: Order, intent: SwapIntent, refusal: Refused
) -> None:
    now = services.clock()
    with services.transaction() as session:
        # A worker that comes back late must not contradict its successor.
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
        _tell(session, order, swap_refused(order, intent.package_name, reason, at=now), now)
    services.wake()


def _leave_to_operator(
    services: Services, held: outbox.Claim, order: Order, intent: SwapIntent, reason: str
) -> Outcome:
    """The purchase stays in doubt until two operators have looked in billing."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        late.ask_about_purchase(
            session, ReviewKind.PURCHASE_UNKNOWN, order, intent.price_fen, now=now, reason=reason
        )
    return Park(reason)


def _tell(session: Session, order: Order, tidings: Tidings, now: datetime) -> None:
    payload = tidings.payload(order.payer_openid)
    outbox.put(session, "message", f"swap:{order.order_no}", payload, now=now)
