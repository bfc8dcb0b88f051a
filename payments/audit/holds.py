"""Held accounts: while the books of an account are in question, none of its money goes out.

A hold ends when the next check finds the account clean, or when two operators release it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from models import journal
from models.audit import EVERY_ACCOUNT, AccountHold, BookFinding
from models.db.state import rows_changed
from models.errors import Refused
from models.values.actor import Actor


class AccountHeld(Refused):
    """Refunds and payouts of this account wait until its books have been checked."""

    status = 409
    code = "E-HELD"

    def __init__(self, text: str = "该账户正在核对账目，暂时不能办理退款或退费，请稍后再试") -> None:
        super().__init__(text)


def is_held(session: Session, account_no: str | None) -> bool:
    """True while money of this account must not go out."""
    names = [EVERY_ACCOUNT] if account_no is None else [EVERY_ACCOUNT, account_no]
    query = select(exists().where(AccountHold.account_no.in_(names), AccountHold.ended_at.is_(None)))
    return bool(session.scalar(query))


def require_none(session: Session, account_no: str | None) -> None:
    """Return when money of this account may go out. Raises: AccountHeld."""
    if is_held(session, account_no):
        raise AccountHeld


def held_among(session: Session, account_nos: list[str]) -> set[str]:
    """Those of the accounts that are held."""
    query = select(AccountHold.account_no).where(
        AccountHold.account_no.in_([EVERY_ACCOUNT, *account_nos]), AccountHold.ended_at.is_(None)
    )
    found = set(session.scalars(query))
    return set(account_nos) if EVERY_ACCOUNT in found else found


def open_holds(session: Session, *, after_id: int = 0, limit: int = 50) -> list[AccountHold]:
    """Holds that are in force, oldest first."""
    query = select(AccountHold).where(AccountHold.ended_at.is_(None), AccountHold.id > after_id)
    return list(session.scalars(query.order_by(AccountHold.id).limit(limit)))


def release(
    session: Session,
    check: str,
    finding_id: int | None,
    *,
    proposed_by: Actor,
    approved_by: Actor,
    evidence: str,
    now: datetime,
) -> int:
    """End the holds of a finding by two operators; the same finding does not hold the account again.

    Args:
        finding_id: None: of all findings of this check.
    Returns: how many holds ended. Raises: Refused - one operator alone, or no evidence.
    """
    if approved_by.is_same_person(proposed_by) or approved_by.is_system or proposed_by.is_system:
        raise Refused("解除核对须由两位不同的操作人完成")
    if not evidence.strip():
        raise Refused("请写明解除核对的依据")
    which = BookFinding.check_name == check if finding_id is None else BookFinding.id == finding_id
    session.execute(
        update(BookFinding)
        .where(which, BookFinding.accepted_at.is_(None), BookFinding.ended_at.is_(None))
        .values(accepted_at=now)
        .execution_options(synchronize_session=False)
    )
    ended = (
        update(AccountHold)
        .where(
            AccountHold.finding_id.in_(select(BookFinding.id).where(which)), AccountHold.ended_at.is_(None)
        )
        .values(
            ended_at=now,
            released_by=proposed_by.name,
            approved_by=approved_by.name,
            evidence=evidence.strip(),
        )
    )
    count = rows_changed(session, ended)
    journal.note(
        session,
        "hold-released",
        order_no=None,
        actor=approved_by.name,
        now=now,
        check=check,
        finding=finding_id,
        holds=count,
        proposed_by=proposed_by.name,
    )
    return count
