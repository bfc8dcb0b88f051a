"""Adjusting entries: one operator requests, another one approves, the outbox delivers.

A general entry corrects a balance for a reason that the student reads; a `PUT_BACK` credits money again
that a refund had taken off the account before WeChat refused it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.adjustment import (
    Adjustment,
    AdjustmentKind,
    AdjustmentStatus,
    NoSuchAdjustment,
    lock_adjustment,
    move_adjustment,
)
from models.clock import campus_date
from models.errors import AmountInvalid, AmountOutOfRange, IllegalTransition, Refused
from models.money import yuan
from models.values.actor import Actor
from payments import outbox
from payments.evidence import checked
from payments.services import Services

KIND = "adjustment"
REASON_MAX = 80


class SameOperator(Refused):
    """The operator who requested an adjusting entry cannot approve it."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "调账须由申请人以外的另一人批准") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Wanted:
    """What is requested: `amount_fen` is positive onto the account, `reason` is shown to the student."""

    account_no: str
    amount_fen: int
    reason: str
    evidence: str


def request(services: Services, wanted: Wanted, *, actor: Actor) -> Adjustment:
    """Request an entry; nothing moves before another operator approves it.

    The same request again, while it waits, gives the entry that waits.

    Raises:
        NoSuchAccount: there is no such account.
        AmountInvalid, AmountOutOfRange: zero, or beyond the configured bound.
        Refused: no reason or evidence, or billing cannot adjust.
        Unavailable: billing cannot be asked.
    """
    if not services.billing.capabilities().adjust:
        raise Refused("计费系统不支持调账")
    _check(services, wanted)
    account_no = services.billing.balance(wanted.account_no).account_no
    now = services.clock()
    adjustment = Adjustment(
        adjustment_no=f"j{campus_date(now):%Y%m%d}{secrets.token_hex(5)}",
        kind=AdjustmentKind.GENERAL,
        account_no=account_no,
        amount_fen=wanted.amount_fen,
        reason=wanted.reason.strip(),
        evidence=wanted.evidence.strip(),
        status=AdjustmentStatus.REQUESTED,
        requested_by=actor.name,
        created_at=now,
        changed_at=now,
    )
    with services.transaction() as session:
        same = _waiting_twin(session, adjustment)
        if same is not None:
            return same
        session.add(adjustment)
        note(session, adjustment, "adjustment-requested", actor=actor.name, now=now)
    return adjustment


def approve(services: Services, *, adjustment_no: str, actor: Actor) -> Adjustment:
    """Let an entry happen; the workers do it.

    Raises:
        NoSuchAdjustment: no entry has this number.
        SameOperator: `actor` requested it.
        IllegalTransition: it does not wait for approval.
    """
    now = services.clock()
    with services.transaction() as session:
        adjustment = lock_adjustment(session, adjustment_no)
        if actor.is_system or actor.is_same_person(adjustment.requested_by):
            raise SameOperator
        _check_waits(adjustment)
        move_adjustment(
            session,
            adjustment,
            AdjustmentStatus.APPROVED,
            now=now,
            cause=actor.name,
            decided_by=actor.name,
        )
        promise(session, adjustment, now=now)
        note(session, adjustment, "adjustment-approved", actor=actor.name, now=now)
    services.wake()
    return adjustment


def reject(services: Services, *, adjustment_no: str, actor: Actor) -> Adjustment:
    """End a requested entry; no money moves.

    Raises:
        NoSuchAdjustment: no entry has this number.
        IllegalTransition: it does not wait for approval.
    """
    now = services.clock()
    with services.transaction() as session:
        adjustment = lock_adjustment(session, adjustment_no)
        _check_waits(adjustment)
        move_adjustment(
            session, adjustment, AdjustmentStatus.REJECTED, now=now, cause=actor.name, decided_by=actor.name
        )
        note(session, adjustment, "adjustment-rejected", actor=actor.name, now=now)
    return adjustment


def look(services: Services, adjustment_no: str) -> Adjustment:
    """Return one entry. Raises: NoSuchAdjustment."""
    with services.reading() as session:
        found = session.scalar(select(Adjustment).where(Adjustment.adjustment_no == adjustment_no))
    if found is None:
        raise NoSuchAdjustment
    return found


def newest(services: Services, *, limit: int = 20, waiting: bool = False) -> list[Adjustment]:
    """Return entries, newest first; only those that wait for approval if `waiting`."""
    query = select(Adjustment)
    if waiting:
        query = query.where(Adjustment.status == AdjustmentStatus.REQUESTED)
    with services.reading() as session:
        return list(session.scalars(query.order_by(Adjustment.id.desc()).limit(limit)))


def promise(session: Session, adjustment: Adjustment, *, now: datetime) -> None:
    """Queue the delivery of an approved entry."""
    number = adjustment.adjustment_no
    outbox.put(session, KIND, number, {"adjustment_no": number}, now=now)


def note(
    session: Session, adjustment: Adjustment, what: str, *, actor: str, now: datetime, **facts: object
) -> None:
    """Write what happened to an entry into the journal."""
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor,
        now=now,
        adjustment_no=adjustment.adjustment_no,
        amount_fen=adjustment.amount_fen,
        **facts,
    )


def _waiting_twin(session: Session, wanted: Adjustment) -> Adjustment | None:
    query = select(Adjustment).where(
        Adjustment.status == AdjustmentStatus.REQUESTED,
        Adjustment.kind == wanted.kind,
        Adjustment.account_no == wanted.account_no,
        Adjustment.amount_fen == wanted.amount_fen,
        Adjustment.reason == wanted.reason,
        Adjustment.evidence == wanted.evidence,
    )
    return session.scalars(query.order_by(Adjustment.id).limit(1)).first()


def _check(services: Services, wanted: Wanted) -> None:
    if not 0 < len(wanted.reason.strip()) <= REASON_MAX or not wanted.reason.strip().isprintable():
        raise Refused(f"请填写调账原因（学生可见），不超过 {REASON_MAX} 个字")
    checked(wanted.evidence)
    if wanted.amount_fen == 0:
        raise AmountInvalid("调账金额不能为 0")
    most = services.counter_rules.max_fen
    if abs(wanted.amount_fen) > most:
        raise AmountOutOfRange(f"一笔调账不超过 {yuan(most)} 元")


def _check_waits(adjustment: Adjustment) -> None:
    if adjustment.status != AdjustmentStatus.REQUESTED:
        raise IllegalTransition("这笔调账已经处理")
