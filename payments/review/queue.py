"""The review queue: what only a person can decide, and two for anything that moves money.

Whatever is decided goes through the same steps as the machine's own work, in one transaction with
the closing of the item; doing it again changes nothing.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models import journal
from models.db.state import rows_changed
from models.errors import Conflict, IllegalTransition, Refused, ServiceError
from models.review import ReviewItem, ReviewKind, ReviewStatus
from payments.operators import named, same_person
from payments.review.actions import ACTIONS, Action, Decision
from payments.services import Services

EVIDENCE_MIN = 8
BATCH = 50
# Who decides a second payment where the configuration does, and who carries it out.
POLICY, WORKER = "policy", "worker"

log = structlog.get_logger()


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


def list_items(session: Session, *, after_id: int = 0, limit: int = 50) -> list[ReviewItem]:
    """What waits for a person, oldest first (keyset paging)."""
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED, ReviewItem.id > after_id)
    return list(session.scalars(query.order_by(ReviewItem.id).limit(limit)))


def take(services: Services, item_id: int, *, actor: str) -> None:
    """Become the item's owner; the owner before is told nothing, but the journal is."""
    actor = named(actor)
    with services.transaction() as session:
        item = _item(session, item_id)
        if item.owner == actor:
            return
        item.owner = actor
        _note(services, session, item, "review-taken", actor)


def propose(services: Services, item_id: int, *, action: str, actor: str, evidence: str) -> bool:
    """Decide. Returns: whether it is carried out already; False waits for a second person.

    The decision that has closed an item changes nothing when it is made again.
    Raises: NoSuchItem, EvidenceNeeded; IllegalTransition - closed, or no such action for this kind.
    """
    actor = named(actor)
    if len(evidence.strip()) < EVIDENCE_MIN:
        raise EvidenceNeeded
    with services.transaction() as session:
        if _closed_so(session, item_id, action):
            return True
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
    actor = named(actor)
    with services.transaction() as session:
        # Locked: what is approved is what was read, not what somebody proposes or takes back meanwhile.
        item = session.get(ReviewItem, item_id, with_for_update=True)
        if item is None:
            raise NoSuchItem
        if item.status == ReviewStatus.CLOSED:
            return
        if item.status != ReviewStatus.PROPOSED or item.proposal is None:
            raise IllegalTransition("这个待办还没有处理方案")
        if same_person(str(item.proposed_by), actor):
            raise SecondPersonNeeded
        item.approved_by = actor
        _close(services, session, item, str(item.proposal["action"]), actor)
    services.wake()


def reject(services: Services, item_id: int, *, actor: str) -> None:
    """Put a proposal back; the item stays open."""
    actor = named(actor)
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


def by_policy(services: Services) -> None:
    """Deal with second payments as the site has decided once for all; a periodic job.

    One that cannot be dealt with so stays for a person.
    """
    policy = services.rules.second_payment
    if policy == "ask":
        return
    query = select(ReviewItem.id).where(
        ReviewItem.kind == ReviewKind.SECOND_PAYMENT, ReviewItem.status == ReviewStatus.OPEN
    )
    with services.reading() as session:
        waiting = list(session.scalars(query.order_by(ReviewItem.id).limit(BATCH)))
    for item_id in waiting:
        try:
            with services.transaction() as session:
                item = _item(session, item_id)
                item.evidence, item.proposed_by = f"recharge.second_payment = {policy}", POLICY
                _close(services, session, item, policy, WORKER)
        except ServiceError as error:
            log.warning("policy_not_followed", item=item_id, error=type(error).__name__)
    if waiting:
        services.wake()


def _closed_so(session: Session, item_id: int, action: str) -> bool:
    item = session.get(ReviewItem, item_id)
    return item is not None and item.status == ReviewStatus.CLOSED and item.outcome == action


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
