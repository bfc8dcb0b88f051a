"""What tests of stuck money ask: the sums, the findings of the check, the open items, a decision by two."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models.review import ReviewItem, ReviewStatus
from models.values.actor import Actor
from payments.audit.invariants import Conservation, check, conservation
from payments.review import queue as reviews
from tests.payments.payouts.payout_world import PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT

CARL = Actor.from_name("carl")
EVIDENCE = "微信商户平台截图 20260310-17"


def sums(world: PayoutWorld) -> Conservation:
    with world.database.reading() as session:
        return conservation(session)


def findings(world: PayoutWorld) -> list[str]:
    with world.database.reading() as session:
        return check(session)


def open_items(world: PayoutWorld) -> list[ReviewItem]:
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED).order_by(ReviewItem.id)
    with world.database.reading() as session:
        return list(session.scalars(query))


def decide(world: PayoutWorld, item: ReviewItem, action: str, **details: str) -> None:
    proposed = reviews.propose(
        world.services, item.id, action=action, actor=ANNA, evidence=EVIDENCE, details=details
    )
    assert proposed is False
    with pytest.raises(reviews.SecondPersonNeeded):
        reviews.approve(world.services, item.id, actor=Actor.from_name("A n\u200bna（财务）"))
    reviews.approve(world.services, item.id, actor=BERT)
