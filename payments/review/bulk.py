"""Run again in bulk: jobs that were given up for one reason are proposed and approved in one go.

Each item takes the way of a single decision, with its own two operators and its own line in the audit log;
one that cannot be decided so is counted and left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from models.errors import ServiceError
from models.review import ReviewItem, ReviewKind, ReviewStatus
from models.values.actor import Actor
from payments.evidence import checked
from payments.review import queue
from payments.services import Services

ACTION = "run-again"
STEP = 200


@dataclass
class Bulk:
    """What became of the items: `left` names for each error how many stay as they were."""

    items: int = 0
    left: dict[str, int] = field(default_factory=dict)


def propose_run_again(
    services: Services, *, job: str, actor: Actor, evidence: str, limit: int | None = None
) -> Bulk:
    """Propose to run every given-up job of this kind again. Raises: EvidenceNeeded."""
    evidence = checked(evidence)

    def decide(item_id: int) -> None:
        queue.propose(services, item_id, action=ACTION, actor=actor, evidence=evidence)

    return _each(services, job, ReviewStatus.OPEN, decide, limit)


def approve_run_again(services: Services, *, job: str, actor: Actor, limit: int | None = None) -> Bulk:
    """Approve what another operator proposed for jobs of this kind; own proposals stay."""
    return _each(
        services,
        job,
        ReviewStatus.PROPOSED,
        lambda item_id: queue.approve(services, item_id, actor=actor),
        limit,
    )


def _each(
    services: Services, job: str, status: ReviewStatus, decide: Callable[[int], None], limit: int | None
) -> Bulk:
    done = Bulk()
    for item_id in _waiting(services, job, status):
        if limit is not None and done.items >= limit:
            break
        try:
            decide(item_id)
        except ServiceError as error:
            name = getattr(error, "code", type(error).__name__)
            done.left[name] = done.left.get(name, 0) + 1
        else:
            done.items += 1
    return done


def _waiting(services: Services, job: str, status: ReviewStatus) -> Iterator[int]:
    """Items in this state whose decision, if there is one, is to run the job again; oldest first."""
    after = 0
    while True:
        query = select(ReviewItem).where(
            ReviewItem.kind == ReviewKind.JOB_FAILED, ReviewItem.status == status, ReviewItem.id > after
        )
        with services.reading() as session:
            items = list(session.scalars(query.order_by(ReviewItem.id).limit(STEP)))
        for item in items:
            after = item.id
            proposed = None if item.proposal is None else item.proposal.get("action")
            if item.facts.get("job") == job and proposed in (None, ACTION):
                yield item.id
        if len(items) < STEP:
            return
