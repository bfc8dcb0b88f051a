from __future__ import annotations

import pytest
from sqlalchemy import select

from models.counter import ReturnItem, ReturnReason, ReturnStatus, Way, mark_returned
from models.db.state import StateEvent, guarded_move
from models.errors import Conflict, IllegalTransition
from models.order import (
    CREDIT_STATES,
    Credit,
    CreditStatus,
    OrderAction,
    OrderEvent,
    OrderStatus,
    advance,
    move_credit,
)
from tests.builders import NOON, World

MOVED = [("credit", "PENDING", "SENDING", "sending"), ("credit", "SENDING", "UNKNOWN", "no answer")]


def test_a_move_leaves_its_event(world: World) -> None:
    view = world.paid()
    with world.database.transaction() as session:
        credit = session.merge(world.credit(view))
        move_credit(session, credit, CreditStatus.SENDING, now=NOON)
        move_credit(session, credit, CreditStatus.UNKNOWN, now=NOON, reason="no answer")
    with world.database.reading() as session:
        events = session.scalars(select(StateEvent).order_by(StateEvent.id))
        assert [(e.subject, e.old, e.new, e.cause) for e in events] == MOVED
    assert (world.credit(view).status, world.credit(view).reason) == (CreditStatus.UNKNOWN, "no answer")


def test_a_move_that_the_table_lacks_changes_nothing(world: World) -> None:
    view = world.paid()
    with world.database.transaction() as session:
        credit = session.merge(world.credit(view))
        with pytest.raises(IllegalTransition, match="入账状态为 PENDING，不能变为 MANUAL"):
            move_credit(session, credit, CreditStatus.MANUAL, now=NOON)
        assert session.scalar(select(StateEvent)) is None


def test_a_row_that_another_transaction_moved_is_a_conflict(world: World) -> None:
    view = world.paid()
    seen_before = world.credit(view)
    with world.database.transaction() as session:
        move_credit(session, session.merge(world.credit(view)), CreditStatus.SENDING, now=NOON)
    with world.database.transaction() as session:
        stale = session.merge(seen_before, load=False)
        with pytest.raises(Conflict):
            guarded_move(session, CREDIT_STATES, stale, CreditStatus.VOIDED, cause="test", now=NOON)
        session.rollback()
    assert world.credit(view).status == CreditStatus.SENDING


def test_other_changes_of_the_row_are_kept(world: World) -> None:
    view = world.paid()
    with world.database.transaction() as session:
        credit = session.merge(world.credit(view))
        credit.balance_after_fen = 7
        move_credit(session, credit, CreditStatus.SENDING, now=NOON)
    assert world.credit(view).balance_after_fen == 7


def test_orders_keep_their_own_events(world: World) -> None:
    view = world.start()
    with world.database.transaction() as session:
        advance(session, session.merge(world.order(view)), OrderAction.CLOSE, cause="payer", now=NOON)
    with world.database.reading() as session:
        last = session.scalars(select(OrderEvent).order_by(OrderEvent.id.desc())).first()
        assert last is not None
        assert (last.status, last.action, last.cause) == (OrderStatus.CLOSED, OrderAction.CLOSE, "payer")
        assert session.scalar(select(StateEvent)) is None


def test_an_operator_who_decides_again_reads_that_it_is_decided(world: World) -> None:
    with world.database.transaction() as session:
        item = ReturnItem(
            return_no="R1",
            way=Way.CASH,
            amount_fen=700,
            reason=ReturnReason.AMOUNT,
            status=ReturnStatus.OPEN,
            opened_by="甲",
            opened_at=NOON,
        )
        session.add(item)
        session.flush()
        mark_returned(session, item, clerk="甲", on=NOON.date(), evidence="slip 1", now=NOON)
        with pytest.raises(IllegalTransition, match="已经退回"):
            mark_returned(session, item, clerk="乙", on=NOON.date(), evidence="slip 2", now=NOON)
        assert item.returned_by == "甲"


def test_final_states_allow_nothing() -> None:
    assert not any(CREDIT_STATES.allows(CreditStatus.CREDITED, state) for state in CreditStatus)
    assert CREDIT_STATES.state_of(Credit(status=CreditStatus.VOIDED)) is CreditStatus.VOIDED
