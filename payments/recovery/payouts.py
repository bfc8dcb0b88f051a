"""Payouts by bank after a restore: the bank may have paid them since, and nobody's books say so.

Every part that was not finished in the backup is held: it stands on no list, and no bank result of an
earlier list ends it, until two operators have said whether it was paid.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import journal
from models.errors import IllegalTransition
from models.payout import PartStatus, PartWay, Payout, PayoutPart, PayoutStatus, move_part
from models.review import ReviewKind, ask_person

# A part that is only planned as well: it may have been approved, listed and paid after the backup.
UNFINISHED = (
    PartStatus.PLANNED,
    PartStatus.WAITING,
    PartStatus.SENDING,
    PartStatus.UNKNOWN,
    PartStatus.LATE,
    PartStatus.RETURNING,
    PartStatus.WITHDRAWN,
    PartStatus.LISTED,
)
OFF_THE_ACCOUNT = (PartStatus.WITHDRAWN, PartStatus.LISTED)


def hold_payouts(session: Session, *, now: datetime) -> int:
    """Hold every unfinished bank part and ask about each. Returns: how many."""
    query = (
        select(PayoutPart, Payout)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(
            PayoutPart.way == PartWay.BANK,
            PayoutPart.status.in_(UNFINISHED),
            PayoutPart.fate_unknown.is_(False),
            Payout.status != PayoutStatus.REJECTED,
        )
        .order_by(PayoutPart.id)
        .with_for_update(of=PayoutPart)
    )
    found = list(session.execute(query))
    for part, payout in found:
        hold(session, part, payout, now=now)
    return len(found)


def hold(session: Session, part: PayoutPart, payout: Payout, *, now: datetime) -> None:
    """Keep a part off every list until two operators have answered."""
    part.fate_unknown = True
    ask_person(
        session,
        ReviewKind.PAYOUT_FATE,
        part.part_no,
        order_id=None,
        amount_fen=part.amount_fen,
        now=now,
        part_no=part.part_no,
        payout_no=payout.payout_no,
        account_no=payout.account_no,
        list_no=part.list_no,
        state_in_backup=part.status,
    )


def count_held(session: Session) -> int:
    """Return how many parts wait for an answer."""
    return session.scalar(select(func.count()).where(PayoutPart.fate_unknown.is_(True))) or 0


def was_paid(session: Session, part_no: str, *, actor: str, now: datetime) -> None:
    """The bank has paid it: the part ends. Raises: IllegalTransition - its money is still on the account."""
    part = _held(session, part_no)
    if part is None:
        return
    if part.status not in OFF_THE_ACCOUNT:
        raise IllegalTransition("这笔退费尚未从账户扣款：请先批准申请并等待扣款完成，再登记为已付")
    part.fate_unknown = False
    if part.status == PartStatus.WITHDRAWN:
        move_part(session, part, PartStatus.LISTED, now=now, error="paid before the restore")
    move_part(session, part, PartStatus.PAID, now=now)
    _note(session, part, "payout-fate-paid", actor=actor, now=now)


def was_not_paid(session: Session, part_no: str, *, actor: str, now: datetime) -> None:
    """The bank has not paid it: it stands on the next list like any other."""
    part = _held(session, part_no)
    if part is None:
        return
    payout = session.get_one(Payout, part.payout_id)
    if not payout.bank_account:
        raise IllegalTransition("这笔退费由系统重建，没有银行信息：请先运行 campusnet payouts card 补录")
    part.fate_unknown = False
    if part.status == PartStatus.LISTED:
        move_part(session, part, PartStatus.WITHDRAWN, now=now, error="not paid before the restore")
    _note(session, part, "payout-fate-open", actor=actor, now=now)


def _held(session: Session, part_no: str) -> PayoutPart | None:
    """The part, locked; None when it was answered before. Raises: IllegalTransition - no such part."""
    query = select(PayoutPart).where(PayoutPart.part_no == part_no).with_for_update()
    part = session.scalar(query.execution_options(populate_existing=True))
    if part is None:
        raise IllegalTransition("没有这笔退费")
    return part if part.fate_unknown else None


def _note(session: Session, part: PayoutPart, what: str, *, actor: str, now: datetime) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor,
        now=now,
        part_no=part.part_no,
        list_no=part.list_no,
        amount_fen=part.amount_fen,
    )
