"""Results of the bank that contradict what is known of a payout: nothing is dropped, two operators decide.

A payment that was reported as failed may have arrived after all, and one that arrived may come back days
later. While such a question is open, the part is put on no list.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.errors import IllegalTransition
from models.payout import PartStatus, PayoutList, PayoutPart, move_part
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.values.actor import Actor


def ask_about_result(
    session: Session, part: PayoutPart, said: PartStatus, list_no: str, *, now: datetime
) -> bool:
    """Open a question where the bank's word contradicts the part.

    Args:
        said: PAID, or WITHDRAWN for a payment that failed.
        list_no: the list that the bank speaks of.
    Returns: False where there is nothing to ask: no such list, or an old failure that is known.
    """
    made = select(PayoutList.id).where(PayoutList.list_no == list_no)
    if session.scalar(made) is None:
        return False
    if said == PartStatus.WITHDRAWN and part.list_no != list_no:
        return False
    ask_person(
        session,
        ReviewKind.PAYOUT_RESULT,
        f"{part.part_no}:{list_no}:{said}",
        order_id=part.order_id,
        amount_fen=part.amount_fen,
        now=now,
        part_no=part.part_no,
        number=part.part_no,
        list_no=list_no,
        said=said,
        now_on_list=part.list_no,
        state=part.status,
    )
    return True


def parts_in_question(session: Session) -> set[str]:
    """Return the numbers of parts whose result is in question."""
    query = select(ReviewItem.key).where(
        ReviewItem.kind == ReviewKind.PAYOUT_RESULT, ReviewItem.status != ReviewStatus.CLOSED
    )
    return {key.split(":", 1)[0] for key in session.scalars(query)}


def accept_result(
    session: Session, part_no: str, said: PartStatus, list_no: str, *, actor: Actor, now: datetime
) -> None:
    """Record the bank's later word after all. Raises: IllegalTransition - the part cannot come to that."""
    query = select(PayoutPart).where(PayoutPart.part_no == part_no).with_for_update()
    part = session.scalar(query.execution_options(populate_existing=True))
    if part is None:
        raise IllegalTransition("找不到这笔退费")
    if part.status == said and part.list_no == list_no:
        return
    if said == PartStatus.WITHDRAWN and part.list_no != list_no:
        raise IllegalTransition("这笔退费已在另一份名单上")
    part.list_no = list_no
    part.failed_by = actor.name if said == PartStatus.WITHDRAWN else None
    if part.status != said:
        move_part(session, part, said, now=now)
    journal.note(
        session,
        "payout-result",
        order_no=None,
        actor=actor.name,
        now=now,
        part_no=part_no,
        list_no=list_no,
        said=said,
        amount_fen=part.amount_fen,
    )
