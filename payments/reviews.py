"""The review queue: what only a person can decide, and two for anything that moves money.

Whatever is decided goes through the same steps as the machine's own work, in one transaction with
the closing of the item; doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models import allocation, journal
from models.errors import Conflict, IllegalTransition, Refused
from models.order import Credit, CreditStatus, Order, credit_of, move_credit, rows_changed
from models.review import ReviewItem, ReviewKind, ReviewStatus
from payments import sweep
from payments.services import Services

EVIDENCE_MIN = 8


class NoSuchItem(Refused):
    """There is no review item with this number."""

    status = 404
    code = "E-ITEM"

    def __init__(self, text: str = "没有这个待办") -> None:
        super().__init__(text)


class SecondPersonNeeded(Refused):
    """Whoever proposed it cannot approve it."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "涉及资金的处理需要另一位同事确认") -> None:
        super().__init__(text)


class EvidenceNeeded(Refused):
    """Closing needs a reason that somebody can check later."""

    code = "E-EVID"

    def __init__(self, text: str = "请写明依据(单号、截图编号、对方答复等)") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Decision:
    """What is carried out: the item, the actor, the time's services."""

    services: Services
    session: Session
    item: ReviewItem
    actor: str


@dataclass(frozen=True)
class Action:
    """Something a person may decide. `moves_money` makes a second person necessary."""

    moves_money: bool
    kinds: frozenset[ReviewKind]
    carry_out: Callable[[Decision], None]


def list_items(session: Session, *, after_id: int = 0, limit: int = 50) -> list[ReviewItem]:
    """What waits for a person, oldest first (keyset paging)."""
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED, ReviewItem.id > after_id)
    return list(session.scalars(query.order_by(ReviewItem.id).limit(limit)))


def take(services: Services, item_id: int, *, actor: str) -> None:
    """Become the item's owner; the owner before is told nothing, but the journal is."""
    with services.transaction() as session:
        item = _item(session, item_id)
        if item.owner == actor:
            return
        item.owner = actor
        _note(services, session, item, "review-taken", actor)


def propose(services: Services, item_id: int, *, action: str, actor: str, evidence: str) -> bool:
    """Decide. Returns: whether it is carried out already; False waits for a second person.

    Raises: NoSuchItem, EvidenceNeeded; IllegalTransition - closed, or no such action for this kind.
    """
    if len(evidence.strip()) < EVIDENCE_MIN:
        raise EvidenceNeeded
    with services.transaction() as session:
        item = _item(session, item_id)
        chosen = _action(item, action)
        item.owner = item.owner or actor
        item.evidence = evidence.strip()
        item.proposal, item.proposed_by = {"action": action}, actor
        _note(services, session, item, "review-proposed", actor, action=action)
        if chosen.moves_money:
            item.status = ReviewStatus.PROPOSED
            return False
        _close(services, session, item, action, actor)
        return True


def approve(services: Services, item_id: int, *, actor: str) -> None:
    """Carry out what somebody else proposed; a closed item stays as it is.

    Raises: NoSuchItem, SecondPersonNeeded; IllegalTransition - nothing was proposed.
    """
    with services.transaction() as session:
        item = session.get(ReviewItem, item_id)
        if item is None:
            raise NoSuchItem
        if item.status == ReviewStatus.CLOSED:
            return
        if item.status != ReviewStatus.PROPOSED or item.proposal is None:
            raise IllegalTransition("这个待办还没有处理方案")
        if item.proposed_by == actor:
            raise SecondPersonNeeded
        item.approved_by = actor
        _close(services, session, item, str(item.proposal["action"]), actor)
    services.wake()


def reject(services: Services, item_id: int, *, actor: str) -> None:
    """Put a proposal back; the item stays open."""
    with services.transaction() as session:
        item = _item(session, item_id)
        item.status, item.proposal, item.proposed_by = ReviewStatus.OPEN, None, None
        _note(services, session, item, "review-rejected", actor)


def _close(services: Services, session: Session, item: ReviewItem, action: str, actor: str) -> None:
    session.flush()  # what was written to the item belongs to the state it leaves
    closed = (
        update(ReviewItem)
        .where(ReviewItem.id == item.id, ReviewItem.status != ReviewStatus.CLOSED)
        .values(status=ReviewStatus.CLOSED, outcome=action, closed_at=services.clock())
    )
    if rows_changed(session, closed) != 1:
        raise Conflict(f"review item {item.id} was closed by somebody else")
    _action(item, action).carry_out(Decision(services, session, item, actor))
    _note(services, session, item, "review-closed", actor, action=action, evidence=item.evidence)


def _item(session: Session, item_id: int) -> ReviewItem:
    item = session.get(ReviewItem, item_id, with_for_update=True)
    if item is None:
        raise NoSuchItem
    if item.status == ReviewStatus.CLOSED:
        raise IllegalTransition("这个待办已经结束")
    return item


def _action(item: ReviewItem, name: str) -> Action:
    action = ACTIONS.get(name)
    if action is None or item.kind not in action.kinds:
        raise IllegalTransition("这个待办不能这样处理")
    return action


def _note(
    services: Services, session: Session, item: ReviewItem, what: str, actor: str, **facts: Any
) -> None:
    journal.note(
        session,
        what,
        order_no=item.facts.get("order_no"),
        actor=actor,
        now=services.clock(),
        item_id=item.id,
        kind=item.kind,
        amount_fen=item.amount_fen,
        **facts,
    )


def _credit(decision: Decision) -> tuple[Order, Credit]:
    order = decision.session.get(Order, decision.item.order_id)
    credit = None if order is None else credit_of(decision.session, order.id)
    if order is None or credit is None:
        raise IllegalTransition("找不到这笔入账")
    return order, credit


def _dismiss(decision: Decision) -> None:
    """Nothing to do: the evidence says why."""
    del decision


def _send_again(decision: Decision) -> None:
    """Credit again under the same number: billing was put right, or certainly has not got it."""
    order, credit = _credit(decision)
    if credit.status == CreditStatus.CREDITED:
        return
    if credit.status == CreditStatus.MANUAL:
        allocation.release_credit(decision.session, order.id, credit.amount_fen)
    move_credit(
        decision.session, credit, CreditStatus.PENDING, now=decision.services.clock(), reason="review"
    )
    sweep.promise_again(decision.session, "credit", order.order_no, decision.services)


def _arrived(decision: Decision) -> None:
    """Somebody has seen the credit in billing."""
    order, credit = _credit(decision)
    if credit.status == CreditStatus.CREDITED:
        return
    move_credit(
        decision.session, credit, CreditStatus.CREDITED, now=decision.services.clock(), reason="review"
    )
    journal.note(
        decision.session,
        "credited",
        order_no=order.order_no,
        actor=decision.actor,
        now=decision.services.clock(),
        credit_no=credit.credit_no,
        amount_fen=credit.amount_fen,
        outcome="seen by a person",
    )


def _run_again(decision: Decision) -> None:
    """Give a job that had been given up another life."""
    facts = decision.item.facts
    sweep.promise_again(decision.session, str(facts["job"]), str(facts["number"]), decision.services)


ACTIONS: dict[str, Action] = {
    "dismiss": Action(
        moves_money=False,
        kinds=frozenset(
            {
                ReviewKind.NOTIFY_MISMATCH,
                ReviewKind.EXTERNAL_REFUND,
                ReviewKind.BILL_DIFFERENCE,
                ReviewKind.JOB_FAILED,
                ReviewKind.REFUND_ABNORMAL,
                ReviewKind.REFUND_CLOSED,
                ReviewKind.REFUND_UNKNOWN,
                ReviewKind.REVERSAL_REFUSED,
            }
        ),
        carry_out=_dismiss,
    ),
    "credit-again": Action(
        moves_money=True,
        kinds=frozenset({ReviewKind.CREDIT_REFUSED, ReviewKind.CREDIT_UNKNOWN}),
        carry_out=_send_again,
    ),
    "credit-arrived": Action(
        moves_money=True, kinds=frozenset({ReviewKind.CREDIT_UNKNOWN}), carry_out=_arrived
    ),
    "run-again": Action(moves_money=True, kinds=frozenset({ReviewKind.JOB_FAILED}), carry_out=_run_again),
}
