"""Write-offs on both kinds of database: what they stand for, and what the check says without them."""

from __future__ import annotations

from sqlalchemy import delete, select

from models.db.engine import Database
from models.order import PaymentAttempt
from models.review import ReviewItem
from models.values.actor import Actor
from models.write_off import WriteOff, kept_fen
from payments.audit.invariants import check
from payments.audit.manual_metrics import manual_figures
from payments.confirm import confirm_paid
from payments.review import queue as reviews
from payments.review.write_offs import list_write_offs
from tests.builders import World

ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")
EVIDENCE = "微信商户平台截图 20260310-17"


def test_money_of_a_second_payment_is_kept_as_owed(any_database: Database) -> None:
    world = World(any_database)
    view = world.paid()
    second = f"{view.order_no}02"
    with any_database.transaction() as session:
        session.add(PaymentAttempt(order_id=view.id, seq=2, out_trade_no=second, created_at=world.clock()))
        session.flush()
        fact = world.fact(view, out_trade_no=second, transaction_id="42second")
        confirm_paid(session, fact, cause="notify", now=world.clock())
    with any_database.reading() as session:
        item_id = session.scalars(select(ReviewItem.id)).one()
        assert check(session, embedded=False) == []
    decided = reviews.propose(world.services, item_id, action="owe", actor=ANNA, evidence=EVIDENCE)
    assert decided is False
    reviews.approve(world.services, item_id, actor=BERT)
    with any_database.reading() as session:
        (row,) = list_write_offs(session)
        assert (row.amount_fen, row.order_id, row.subject) == (500, view.id, view.order_no)
        assert kept_fen(session, view.id) == 500
        assert manual_figures(session).kept_fen["OWED"] == 500
    with any_database.reading() as session:
        assert check(session) == []
    with any_database.transaction() as session:
        session.execute(delete(WriteOff))
    with any_database.reading() as session:
        (finding,) = check(session)
    assert view.order_no in finding
    assert "500 fen" in finding
