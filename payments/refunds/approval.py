"""Money back: one person asks for it, another one approves, the outbox does it.

What happens afterwards is `payments.refunds.delivery`; what WeChat says, `payments.refunds.facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import AmountInvalid, IllegalTransition, LimitReached, Refused
from models.money import yuan
from models.order import CREDIT_VOID, CreditStatus, Order, OrderStatus, PaymentFact, lock_order
from models.recovery import check_may_pay_out
from models.refund import Refund, RefundStatus, ReversalStatus, refunds_of
from models.values.actor import Actor
from models.write_off import kept_fen
from payments import outbox
from payments.audit import holds
from payments.confirm import COUNTER
from payments.refunds.steps import Money, locked, money_of, move, note
from payments.services import Services

OURS = "ours"
# WeChat's own limits for one payment (payments.md 2.2).
REFUNDS_MAX = 50
APART = timedelta(seconds=60)
LIFE = timedelta(days=365)
REASON_MAX = 80


@dataclass(frozen=True)
class Wanted:
    """What is asked for: `out_trade_no` None is the payment that paid the order."""

    order_no: str
    amount_fen: int
    reason: str
    out_trade_no: str | None = None


class SamePerson(Refused):
    """Whoever asked for a refund cannot approve it."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "退款须由申请人以外的另一人批准") -> None:
        super().__init__(text)


def request(
    services: Services,
    *,
    order_no: str,
    amount_fen: int,
    reason: str,
    actor: Actor,
    out_trade_no: str | None = None,
) -> Refund:
    """Ask for (part of) a payment to go back; nothing moves before somebody else approves.

    The same request of the same person again, while it waits, gives the refund that waits.

    Args:
        reason: shown to the payer by WeChat, up to 80 characters.
        out_trade_no: which payment, where an order was paid twice; the one that paid the order by default.
    Raises: NoSuchOrder; IllegalTransition - not paid, or not refundable like this now; AmountInvalid;
        LimitReached - WeChat's limits of number and pace.
    """
    now = services.clock()
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Refused(f"请填写退款原因，不超过 {REASON_MAX} 个字")
    wanted = Wanted(order_no, amount_fen, reason.strip(), out_trade_no)
    with services.transaction() as session:
        same = _waiting_twin(session, wanted, actor)
        return same or ask_for(session, wanted, actor=actor, now=now)


def ask_for(session: Session, wanted: Wanted, *, actor: Actor, now: datetime) -> Refund:
    """The step of `request`. Raises: as `request`."""
    order = _locked_order(session, wanted.order_no)
    fact = _fact(session, order, wanted.out_trade_no)
    earlier = refunds_of(session, order.id)
    same = [refund for refund in earlier if refund.out_trade_no == fact.out_trade_no]
    _check_limits(fact, same, wanted.amount_fen, now)
    money = money_of(session, order, fact.out_trade_no)
    _check_money(money, wanted.amount_fen)
    if wanted.amount_fen <= money.spare_fen < wanted.amount_fen + kept_fen(session, order.id):
        raise IllegalTransition("这笔款项已核销或挂账，请先重新打开待办")
    refund = Refund(
        order_id=order.id,
        out_refund_no=f"f{order.order_no}{len(earlier) + 1:02d}",
        out_trade_no=fact.out_trade_no,
        amount_fen=wanted.amount_fen,
        reason=wanted.reason,
        # Counter money goes back over the counter, not through WeChat.
        origin=COUNTER if fact.provider == COUNTER else OURS,
        status=RefundStatus.REQUESTED,
        reversal=ReversalStatus.PENDING,
        held=False,
        requested_by=actor.name,
        created_at=now,
        changed_at=now,
    )
    session.add(refund)
    note(session, order, refund, "refund-requested", actor=actor.name, now=now)
    return refund


def _waiting_twin(session: Session, wanted: Wanted, actor: Actor) -> Refund | None:
    order = _locked_order(session, wanted.order_no)
    number = _fact(session, order, wanted.out_trade_no).out_trade_no
    for refund in refunds_of(session, order.id):
        if (
            refund.status == RefundStatus.REQUESTED
            and (refund.out_trade_no, refund.amount_fen) == (number, wanted.amount_fen)
            and refund.reason == wanted.reason
            and actor.is_same_person(refund.requested_by)
        ):
            return refund
    return None


def approve(services: Services, *, out_refund_no: str, actor: Actor) -> Refund:
    """Let a requested refund happen.

    Raises: NoSuchRefund, SamePerson; IllegalTransition - not waiting; AccountHeld; UnderMaintenance - a
        restored database may not know yet that it was refunded.
    """
    now = services.clock()
    with services.transaction() as session:
        check_may_pay_out(session)
        refund = agree_to(session, out_refund_no, actor=actor, now=now)
    services.wake()
    return refund


def agree_to(session: Session, out_refund_no: str, *, actor: Actor, now: datetime) -> Refund:
    """The step of `approve`. Raises: as `approve`."""
    order, refund = locked(session, out_refund_no)
    if actor.is_same_person(refund.requested_by):
        raise SamePerson
    if refund.status != RefundStatus.REQUESTED:
        raise IllegalTransition(f"退款状态为 {refund.status}，不能批准")
    holds.require_none(session, order.account_no)
    refund.approved_by = actor.name
    move(session, order, refund, RefundStatus.APPROVED, actor=actor.name, now=now)
    outbox.put(session, "refund", out_refund_no, {"out_refund_no": out_refund_no}, now=now)
    return refund


def reject(services: Services, *, out_refund_no: str, actor: Actor) -> Refund:
    """End a requested refund, by whomever. Raises: NoSuchRefund, IllegalTransition - not waiting."""
    now = services.clock()
    with services.transaction() as session:
        order, refund = locked(session, out_refund_no)
        if refund.status != RefundStatus.REQUESTED:
            raise IllegalTransition(f"退款状态为 {refund.status}，不能驳回")
        move(session, order, refund, RefundStatus.CLOSED, actor=actor.name, now=now, error="rejected")
    return refund


def newest(services: Services, *, limit: int = 20, waiting: bool = False) -> list[tuple[Refund, str]]:
    """Refunds with their order numbers, newest first; only those that wait for approval if `waiting`."""
    query = select(Refund, Order.order_no).join(Order, Order.id == Refund.order_id)
    if waiting:
        query = query.where(Refund.status == RefundStatus.REQUESTED)
    with services.reading() as session:
        return [(row[0], row[1]) for row in session.execute(query.order_by(Refund.id.desc()).limit(limit))]


def _locked_order(session: Session, order_no: str) -> Order:
    order = lock_order(session, order_no)
    if order.status != OrderStatus.PAID:
        raise IllegalTransition("这笔订单没有支付，不能退款")
    return order


def _fact(session: Session, order: Order, out_trade_no: str | None) -> PaymentFact:
    for fact in session.scalars(select(PaymentFact).where(PaymentFact.order_id == order.id)):
        main = fact.transaction_id == order.transaction_id
        if main if out_trade_no is None else fact.out_trade_no == out_trade_no:
            return fact
    raise IllegalTransition("没有可以原路退回的付款")


def _check_limits(fact: PaymentFact, earlier: list[Refund], amount_fen: int, now: datetime) -> None:
    open_ones = [refund for refund in earlier if refund.status != RefundStatus.CLOSED]
    left_fen = fact.amount_fen - sum(refund.amount_fen for refund in open_ones)
    if amount_fen <= 0:
        raise AmountInvalid("退款金额须大于 0")
    if amount_fen > left_fen:
        raise AmountInvalid(f"最多还可退 {yuan(left_fen)} 元")
    if fact.provider == COUNTER:
        return
    if now - fact.paid_at > LIFE:
        raise IllegalTransition("支付已超过一年，微信支付不再受理退款")
    # Those that WeChat accepted count for ever, whatever became of them.
    counted = [refund for refund in earlier if refund in open_ones or refund.refund_id is not None]
    if len(counted) >= REFUNDS_MAX:
        raise LimitReached(f"一笔支付最多退款 {REFUNDS_MAX} 次")
    if counted and now - max(refund.created_at for refund in counted) < APART:
        raise LimitReached("两次退款须间隔一分钟以上")


def _check_money(money: Money, amount_fen: int) -> None:
    if amount_fen <= money.spare_fen:
        return
    credit = money.credit
    if credit is None or credit.status in CREDIT_VOID:
        raise IllegalTransition("这笔款项已在退回")
    if credit.status == CreditStatus.CREDITED:
        if amount_fen > money.credited_fen:
            raise AmountInvalid(
                f"一次最多可退 {yuan(max(money.credited_fen, money.spare_fen))} 元，请分开申请"
            )
    elif amount_fen != credit.amount_fen:
        # A part of it would still have to be credited: there is one credit per order, of one amount.
        raise IllegalTransition("这笔订单尚未入账，只能全额退款")
