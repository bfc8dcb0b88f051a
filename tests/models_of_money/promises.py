"""What must hold after every step of the state machine, and at its end."""

from __future__ import annotations

import itertools
import operator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.embedded.ledger import wrong_balances
from models.order import TRANSITIONS, Order, OrderEvent, PaymentFact
from models.refund import Refund
from models.review import ReviewItem, ReviewStatus
from payments.audit import hash_chain as sealing
from payments.audit.invariants import check, conservation
from sandbox.pay import refunds_api
from tests.models_of_money.money_world import MoneyWorld
from tests.models_of_money.other_promises import check_counter, check_second_payments, check_swaps
from tests.models_of_money.world import LONG_S

Facts = dict[str, tuple[str, int]]


def check_promises(world: MoneyWorld) -> None:
    """Every fen is in one place, states are legal, and only what the platform says is believed."""
    with world.database.reading() as session:
        facts = facts_of(session)
        assert check(session) == []
        check_paths(session)
        check_believed(world, facts)
        check_given_back(session, world, facts)
        check_swaps(session)
        check_counter(session, world.receipts)
        check_second_payments(session)


def check_end(world: MoneyWorld) -> None:
    """When all trouble is over nothing is under way, unknown or forgotten."""
    world.end_trouble()
    world.clock.advance(LONG_S)
    # Whatever was asked back of a second payment, two persons can send the rest of it back.
    for item in world.second_payments():
        world.decide(item.id, "refund")
    world.calm()
    # Paid after we had closed, and the notice lost: only the bill of the next day knows.
    for trade in world.unrecorded():
        world.read_bill_row(trade)
    # The platform ends what is under way, and a person at its console what was abnormal.
    for refund in world.platform.refunds.all():
        refunds_api.end(world.platform, refund, "SUCCESS", tell=False)
    world.calm()
    # What the counter owes is handed back.
    while world.hand_back():
        pass
    world.keep_house()
    assert world.unrecorded() == []
    assert world.waiting() == 0
    with world.database.reading() as session:
        assert check(session) == []
        assert wrong_balances(session) == []
        sums = conservation(session)
        assert sums.in_flight_fen == 0
        asked = select(ReviewItem.id).where(ReviewItem.status != ReviewStatus.CLOSED)
        check_swaps(session, at_rest=True)
        assert sums.review_fen == 0 or session.scalars(asked).first() is not None
        assert list(sealing.verify(session, world.clock.now())) == []


def check_paths(session: Session) -> None:
    """Each order went from state to state as the table allows."""
    path = select(OrderEvent.order_id, OrderEvent.status, OrderEvent.action, Order.status)
    rows = session.execute(
        path.join(Order, Order.id == OrderEvent.order_id).order_by(OrderEvent.order_id, OrderEvent.id)
    )
    for _, events in itertools.groupby(rows, key=operator.itemgetter(0)):
        reached = list(events)
        for before, after in itertools.pairwise(reached):
            assert TRANSITIONS[before[1], after[2]] == after[1]
        assert reached[-1][1] == reached[-1][3]


def check_believed(world: MoneyWorld, facts: Facts) -> None:
    """What we recorded is what the platform took."""
    took = {
        trade.request.out_trade_no: (trade.transaction_id, trade.request.amount_fen)
        for trade in world.paid_trades()
    }
    for out_trade_no, recorded in facts.items():
        # What was paid at the counter the platform knows nothing of.
        if recorded[0].startswith("counter:"):
            assert out_trade_no not in took
        else:
            assert took[out_trade_no] == recorded


def check_given_back(session: Session, world: MoneyWorld, facts: Facts) -> None:
    """No payment gives more than it brought, and the platform gave back what we believe it did."""
    held = select(Refund.out_trade_no, func.sum(Refund.amount_fen)).where(Refund.held.is_(True))
    done = select(Refund.out_refund_no, Refund.amount_fen).where(Refund.status == "SUCCESS")
    given = {
        refund.request.out_refund_no: refund.request.amount_fen
        for refund in world.platform.refunds.all()
        if refund.status == "SUCCESS"
    }
    for number, fen in session.execute(held.group_by(Refund.out_trade_no)):
        assert fen <= facts[number][1]
    for number, fen in session.execute(done.where(Refund.refund_id.is_not(None))):
        assert given[number] == fen


def facts_of(session: Session) -> Facts:
    """Transaction and fen of every recorded payment, by out_trade_no."""
    query = select(PaymentFact.out_trade_no, PaymentFact.transaction_id, PaymentFact.amount_fen)
    return {number: (transaction, fen) for number, transaction, fen in session.execute(query)}
