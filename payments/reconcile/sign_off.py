"""Signing off a reconciled day or month: by one operator, or by two while questions are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from models import journal
from models.db.state import guarded_move
from models.errors import Refused
from models.order import Order
from models.review import ReviewItem, ReviewKind, ReviewStatus
from models.statement import FINISHED, RECON_STATES, Difference, ReconRun, ReconStatus
from models.values.actor import Actor
from payments.reconcile.result import FUNDFLOW, KEY_MAX, TRADE, Action, Kind
from payments.reconcile.runs import SIGNED, DaySigned, waiting
from payments.services import Services

UNFINISHED = {
    TRADE: "该日还没有完成的对账结果，不能签字",
    FUNDFLOW: "该月还没有完成的资金对账结果，不能签字",
}
STILL_WAITING = {
    TRADE: "还有差异在等次日账单，请在次日对账之后签字",
    FUNDFLOW: "还有差异在等下月账单，请在下月资金对账之后签字",
}


class SecondSignatureNeeded(Refused):
    """The operator who signed first cannot sign for the second one."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "还有未结的待办，需要另一位同事签字") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class OpenQuestion:
    """A review item that a run opened and that is not closed."""

    item_id: int
    kind: str
    key: str
    amount_fen: int | None


@dataclass(frozen=True)
class Signature:
    """What a signature came to: `signed` is False while a second operator has to sign."""

    signed: bool
    first: str | None
    open_questions: list[OpenQuestion]


def sign(services: Services, *, on: date, actor: Actor, kind: str = TRADE) -> Signature:
    """Sign off a finished day (or month); once signed its result never changes.

    With open questions it takes two operators; running the day again drops the first signature.

    Raises: DaySigned; SecondSignatureNeeded; Refused - there is no finished result, or a difference
        waits for the next bill, or automatic work would sign.
    """
    if actor.is_system:
        raise Refused("对账只能由操作人签字")
    now = services.clock()
    with services.transaction() as session:
        query = select(ReconRun).where(ReconRun.bill_on == on, ReconRun.kind == kind)
        run = session.scalar(query.with_for_update())
        if run is None or (run.status not in FINISHED):
            raise Refused(UNFINISHED[kind])
        if run.status == ReconStatus.SIGNED:
            raise DaySigned(SIGNED[kind])
        if session.scalar(waiting(on, kind).limit(1)) is not None:
            raise Refused(STILL_WAITING[kind])
        questions = open_questions(session, run)
        first = run.first_signed_by
        if questions and first is None:
            new, what = ReconStatus.HALF_SIGNED, "recon-half-signed"
            values = {"first_signed_by": actor.name, "first_signed_at": now}
        elif questions and actor.is_same_person(first):
            raise SecondSignatureNeeded
        else:
            new, what = ReconStatus.SIGNED, "recon-signed"
            values = {"signed_by": actor.name, "signed_at": now}
        guarded_move(session, RECON_STATES, run, new, cause=actor.name, now=now, **values)
        journal.note(
            session,
            what,
            order_no=None,
            actor=actor.name,
            now=now,
            bill_on=str(on),
            bill_kind=kind,
            open_items=[question.item_id for question in questions],
        )
    return Signature(new == ReconStatus.SIGNED, run.first_signed_by, questions)


def open_questions(session: Session, run: ReconRun) -> list[OpenQuestion]:
    """List the review items of a run that are not closed, oldest first."""
    asked = Difference.kind + ":" + Difference.key
    of_differences = select(func.substr(asked, 1, KEY_MAX)).where(
        Difference.run_id == run.id, Difference.action == Action.ASKED
    )
    listed = select(Difference.kind).where(Difference.run_id == run.id, Difference.action == Action.LISTED)
    kinds = set(session.scalars(listed.distinct()))
    # Opened once a day for all rows that are only listed.
    of_the_day = [f"{Kind.FOREIGN}:{run.bill_on}"] if Kind.FOREIGN in kinds else []
    if kinds:
        of_the_day.append(f"more:{run.kind}:{run.bill_on}")
    # Recording a refund that was made elsewhere asks about its order.
    refunded = (
        select(Order.id)
        .join(Difference, Difference.order_no == Order.order_no)
        .where(Difference.run_id == run.id, Difference.action == Action.RECORDED)
    )
    query = (
        select(ReviewItem)
        .where(
            ReviewItem.status != ReviewStatus.CLOSED,
            or_(
                and_(
                    ReviewItem.kind == ReviewKind.BILL_DIFFERENCE,
                    or_(ReviewItem.key.in_(of_differences), ReviewItem.key.in_(of_the_day)),
                ),
                and_(ReviewItem.kind == ReviewKind.EXTERNAL_REFUND, ReviewItem.order_id.in_(refunded)),
            ),
        )
        .order_by(ReviewItem.id)
    )
    return [
        OpenQuestion(item.id, str(item.kind), item.key, item.amount_fen) for item in session.scalars(query)
    ]
