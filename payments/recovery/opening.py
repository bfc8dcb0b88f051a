"""The recovery of a restored database: opened by the restore, ended by `recover` or by two operators."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.db.state import guarded_move
from models.errors import IllegalTransition, Refused
from models.recovery import RECOVERY_STATES, Recovery, RecoveryStatus
from models.values.actor import Actor
from payments.recovery.payouts import hold_payouts
from payments.services import Services

REASON_MIN, REASON_MAX = 8, 200
UNFINISHED = (RecoveryStatus.OPEN, RecoveryStatus.WATCHING)


def open_recovery(
    session: Session, *, since: datetime, backup_no: str | None, actor: str, now: datetime
) -> Recovery:
    """Stop workers, payouts and recharges until what happened after `since` was rebuilt."""
    recovery = Recovery(
        backup_no=backup_no, since=since, opened_at=now, status=RecoveryStatus.OPEN, changed_at=now
    )
    session.add(recovery)
    session.flush()  # its id is noted
    held = hold_payouts(session, now=now)
    journal.note(
        session,
        "recovery-opened",
        order_no=None,
        actor=actor,
        now=now,
        recovery=recovery.id,
        backup_no=backup_no,
        since=since.isoformat(),
        payouts_held=held,
    )
    return recovery


def newest(session: Session) -> Recovery | None:
    """Return the last recovery, finished or not."""
    return session.scalar(select(Recovery).order_by(Recovery.id.desc()).limit(1).with_for_update())


def finish(session: Session, recovery: Recovery, new: RecoveryStatus, *, by: str, now: datetime) -> None:
    """Move a recovery that is not in `new` yet, and note it."""
    if recovery.status == new:
        return
    guarded_move(session, RECOVERY_STATES, recovery, new, cause=by, now=now, done_by=by, changed_at=now)
    journal.note(session, f"recovery-{new.lower()}", order_no=None, actor=by, now=now, recovery=recovery.id)


def skip(services: Services, *, actor: Actor, reason: str) -> bool:
    """Go on without rebuilding: one operator proposes it, another one confirms.

    Returns: True once both have; False while the second one is missing.
    Raises: IllegalTransition - nothing is open; Refused - no reason.
    """
    now = services.clock()
    with services.transaction() as session:
        recovery = newest(session)
        if recovery is None or recovery.status not in UNFINISHED:
            raise IllegalTransition("没有待恢复的数据")
        if recovery.skip_by is None or actor.is_same_person(recovery.skip_by):
            if not REASON_MIN <= len(reason.strip()) <= REASON_MAX:
                raise Refused(f"请写明不恢复的原因，{REASON_MIN} 至 {REASON_MAX} 个字")
            recovery.skip_by, recovery.skip_reason = actor.name, reason.strip()
            journal.note(
                session,
                "recovery-skip",
                order_no=None,
                actor=actor.name,
                now=now,
                recovery=recovery.id,
                reason=recovery.skip_reason,
            )
            return False
        finish(session, recovery, RecoveryStatus.SKIPPED, by=actor.name, now=now)
    services.wake()
    return True
