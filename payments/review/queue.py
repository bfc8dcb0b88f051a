"""The review queue: what only a person can decide, and two for anything that moves money.

Whatever is decided goes through the same steps as the machine's own work, in one transaction with
the closing of the item; doing it again changes nothing.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.db.state import guarded_move
from models.errors import Conflict, IllegalTransition, Refused, ServiceError
from models.review import REVIEW_STATES, ReviewItem, ReviewKind, ReviewStatus, reopen_item
from models.values.actor import Actor
from payments.evidence import checked
from payments.review.actions import ACTIONS, Action, Decision, Details, Found
from payments.review.write_offs import ask_about_the_rest, end_write_offs
from payments.services import Services

# Decisions that leave the money where it is.
KEPT = ("dismiss", "owe")
BATCH = 50
# Who decides a second payment where the configuration does, and who carries it out.
POLICY, WORKER = Actor.system("policy"), Actor.system("worker")

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


def list_items(session: Session, *, after_id: int = 0, limit: int = 50) -> list[ReviewItem]:
    """What waits for a person, oldest first (keyset paging)."""
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED, ReviewItem.id > after_id)
    return list(session.scalars(query.order_by(ReviewItem.id).limit(limit)))


def take(services: Services, item_id: int, *, actor: Actor) -> None:
    """Become the item's owner; the owner before is told nothing, but the journal is."""
    with services.transaction() as session:
        item = _item(session, item_id)
        if item.owner == actor.name:
            return
        item.owner = actor.name
        _note(services, session, item, "review-taken", actor)


def propose(
    services: Services,
    item_id: int,
    *,
    action: str,
    actor: Actor,
    evidence: str,
    details: Details | None = None,
) -> bool:
    """Decide. Returns: whether it is carried out already; False waits for a second operator.

    The decision that has closed an item changes nothing when it is made again.

    Args:
        details: what the action wants to be told besides, such as an account number.
    Raises: NoSuchItem, EvidenceNeeded; IllegalTransition - closed, or no such action for this kind;
        Refused - details are missing, or the action finds that it cannot be.
    """
    evidence = checked(evidence)
    told = {name: value.strip() for name, value in (details or {}).items() if value.strip()}
    with services.reading() as session:
        if _closed_so(session, item_id, action):
            return True
    found = _prepare(services, item_id, action, told)
    with services.transaction() as session:
        if _closed_so(session, item_id, action):
            return True
        item = _item(session, item_id)
        chosen = _action(item, action)
        item.owner = item.owner or actor.name
        item.evidence = evidence
        item.proposal = {"action": action, "details": told, "found": found}
        item.proposed_by = actor.name
        _note(services, session, item, "review-proposed", actor, action=action)
        if chosen.needs_two(session, item):
            _move(services, session, item, ReviewStatus.PROPOSED, cause=action)
            return False
        _close(Decision(services, session, item, actor, told, found), action)
        return True


def approve(services: Services, item_id: int, *, actor: Actor) -> None:
    """Carry out what another operator proposed; a closed item stays as it is.

    Raises: NoSuchItem, SecondPersonNeeded; IllegalTransition - nothing was proposed; Refused - what the
        proposal rests on has changed.
    """
    proposal, found = _prepared_proposal(services, item_id, actor)
    with services.transaction() as session:
        # Locked: what is approved is what was read, not what is proposed or taken back meanwhile.
        item = session.get(ReviewItem, item_id, with_for_update=True)
        if item is None:
            raise NoSuchItem
        if item.status == ReviewStatus.CLOSED:
            return
        _check_second(item, actor)
        if item.proposal != proposal:
            raise Conflict(f"review item {item_id} was proposed anew")
        item.approved_by = actor.name
        told: Details = proposal.get("details", {})
        _close(Decision(services, session, item, actor, told, found), str(proposal["action"]))
    services.wake()


def reject(services: Services, item_id: int, *, actor: Actor) -> None:
    """Put a proposal back; the item stays open."""
    with services.transaction() as session:
        item = _item(session, item_id)
        item.proposal, item.proposed_by = None, None
        if item.status == ReviewStatus.PROPOSED:
            _move(services, session, item, ReviewStatus.OPEN, cause="rejected")
        _note(services, session, item, "review-rejected", actor)


def reopen(services: Services, item_id: int, *, actor: Actor) -> None:
    """Ask again about money that was written off or kept as owed; its row in that list ends.

    Raises: NoSuchItem; IllegalTransition - it ended otherwise.
    """
    now = services.clock()
    with services.transaction() as session:
        item = session.get(ReviewItem, item_id, with_for_update=True)
        if item is None:
            raise NoSuchItem
        if item.status != ReviewStatus.CLOSED or item.outcome not in KEPT:
            raise IllegalTransition("只有以核销或挂账结束的待办可以重新打开")
        end_write_offs(session, item_id, now=now)
        reopen_item(session, item, cause="reopened", now=now)
        _note(services, session, item, "review-reopened", actor)


def _prepare(services: Services, item_id: int, action: str, told: Details) -> Found:
    with services.reading() as session:
        item = session.get(ReviewItem, item_id)
        if item is None:
            raise NoSuchItem
        if item.status == ReviewStatus.CLOSED:
            raise IllegalTransition("这个待办已经结束")
    chosen = _action(item, action)
    missing = [name for name in chosen.details if not told.get(name)]
    if missing:
        raise Refused(f"这样处理还须填写：{'、'.join(missing)}")
    return {} if chosen.prepare is None else chosen.prepare(services, item, told)


def _prepared_proposal(services: Services, item_id: int, actor: Actor) -> tuple[dict[str, Any], Found]:
    """Return what was proposed and what its action finds now; nothing for a closed item."""
    with services.reading() as session:
        item = session.get(ReviewItem, item_id)
        if item is None:
            raise NoSuchItem
        if item.status == ReviewStatus.CLOSED:
            return {}, {}
        proposal = _check_second(item, actor)
    found = _prepare(services, item_id, str(proposal["action"]), proposal.get("details", {}))
    if found != proposal.get("found", {}):
        raise Refused("情况在提出方案后有变化，请驳回后重新提出")
    return proposal, found


def _check_second(item: ReviewItem, actor: Actor) -> dict[str, Any]:
    """Return what was proposed if `actor` may approve it."""
    if item.status != ReviewStatus.PROPOSED or item.proposal is None:
        raise IllegalTransition("这个待办还没有处理方案")
    if actor.is_same_person(str(item.proposed_by)):
        raise SecondPersonNeeded
    return item.proposal


def _close(decision: Decision, action: str) -> None:
    services, session, item = decision.services, decision.session, decision.item
    _move(
        services,
        session,
        item,
        ReviewStatus.CLOSED,
        cause=action,
        outcome=action,
        closed_at=services.clock(),
    )
    _action(item, action).carry_out(decision)
    ask_about_the_rest(session, item, now=services.clock())
    _note(services, session, item, "review-closed", decision.actor, action=action, evidence=item.evidence)


def _move(
    services: Services, session: Session, item: ReviewItem, new: ReviewStatus, *, cause: str, **values: Any
) -> None:
    guarded_move(session, REVIEW_STATES, item, new, cause=cause, now=services.clock(), **values)


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
                item.evidence, item.proposed_by = f"recharge.second_payment = {policy}", POLICY.name
                _close(Decision(services, session, item, WORKER), policy)
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
    services: Services, session: Session, item: ReviewItem, what: str, actor: Actor, **facts: Any
) -> None:
    journal.note(
        session,
        what,
        order_no=item.facts.get("order_no"),
        actor=actor.name,
        now=services.clock(),
        item_id=item.id,
        kind=item.kind,
        amount_fen=item.amount_fen,
        **facts,
    )
