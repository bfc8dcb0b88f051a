"""Money on its way into an account, for its owner who waits at a desk while some phone pays.

Nobody at the desk knows which phone that is: what counts is whose account it is, and since when its
owner waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.order import Order, OrderEvent, OrderStatus, credit_of
from models.refund import NOTHING_BACK, money_back_of
from models.swap import SwapIntent
from payments.daily_limit import SOURCE
from payments.services import Services
from payments.views import OrderView, Step, view_of


@dataclass(frozen=True)
class Arrival:
    """`order` is the newest one that was paid since `since`, None before; `waits`: there may be news soon."""

    since: datetime
    order: OrderView | None
    waits: bool


def watch(services: Services, account_no: str, since: datetime | None) -> Arrival:
    """What has been paid into the account since then; without a time, or a long time after, from now on.

    Money that is still on its way is never left out: whoever opens the page anew must not pay twice.
    """
    now = services.clock()
    patience = timedelta(seconds=services.rules.order_ttl_s)
    with services.reading() as session:
        found = _newest(session, account_no, min(since or now, now - patience))
    if since is None or since > now:
        # The first look: from the payment that has not arrived yet, if there is one.
        since = found[1] if found and found[0].step is Step.CREDITING else now
    order = found[0] if found and found[1] >= since else None
    end = max(since + patience, order.expires_at) if order else since + patience
    return Arrival(since, order, waits=now < end and not (order and order.settled))


def _newest(session: Session, account_no: str, after: datetime) -> tuple[OrderView, datetime] | None:
    """The order that was last paid by WeChat, and when we learnt of it."""
    query = (
        select(Order, OrderEvent.at)
        .join(OrderEvent, OrderEvent.order_id == Order.id)
        .where(
            Order.account_no == account_no,
            Order.source == SOURCE,
            OrderEvent.status == OrderStatus.PAID,
            OrderEvent.at >= after,
        )
        .order_by(OrderEvent.id.desc())
        .limit(1)
    )
    for order, at in session.execute(query):
        back = money_back_of(session, [order.id]).get(order.id, NOTHING_BACK)
        return view_of(order, credit_of(session, order.id), session.get(SwapIntent, order.id), back), at
    return None
