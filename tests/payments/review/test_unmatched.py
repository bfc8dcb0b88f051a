"""Payments that no order of ours has: two operators assign them or send them back, if they are ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from models.errors import Refused
from models.order import Order, OrderEvent, PaymentAttempt, PaymentFact
from models.outbox import OutboxItem
from models.review import ReviewItem, ReviewKind
from payments import unmatched_payments
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, PEOPLE, make_template
from tests.payments.payouts.payout_world import PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT
from tests.payments.review.stuck import EVIDENCE, decide, findings, open_items, sums


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("stuck"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.check_books()
    built.close()


def forget(world: PayoutWorld, order_no: str) -> None:
    """Lose an unpaid order, as a restored backup does."""
    with world.database.transaction() as session:
        order_id = session.scalars(select(Order.id).where(Order.order_no == order_no)).one()
        session.execute(delete(OutboxItem).where(OutboxItem.key == order_no))
        for table in (OrderEvent, PaymentAttempt):
            session.execute(delete(table).where(table.order_id == order_id))
        session.execute(delete(Order).where(Order.id == order_id))


def unmatched(world: PayoutWorld) -> tuple[str, ReviewItem]:
    """A paid order that we do not have; its callback asks."""
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    forget(world, order_no)
    assert world.tell(world.platform.book.get(f"{order_no}01")) == 204
    (item,) = open_items(world)
    assert (item.kind, item.amount_fen) == (ReviewKind.NOTIFY_MISMATCH, 500)
    return order_no, item


def test_a_payment_without_an_order_is_assigned_to_an_account(world: PayoutWorld) -> None:
    order_no, item = unmatched(world)
    with pytest.raises(Refused, match="account"):
        reviews.propose(world.services, item.id, action="assign", actor=ANNA, evidence=EVIDENCE)
    decide(world, item, "assign", account=ACCOUNTS[1])
    world.work()
    with world.database.reading() as session:
        order = session.scalars(select(Order)).one()
    assert (order.order_no, order.account_no, order.amount_fen) == (order_no, ACCOUNTS[1], 500)
    assert (sums(world).credited_fen, world.balance_fen(), open_items(world)) == (500, 0, [])
    # The callback comes again, and nothing happens twice.
    world.tell(world.platform.book.get(f"{order_no}01"))
    world.calm()
    assert (sums(world).paid_fen, sums(world).credited_fen) == (500, 500)


def test_a_payment_without_an_order_goes_back_to_its_payer(world: PayoutWorld) -> None:
    _, item = unmatched(world)
    decide(world, item, "send-back")
    assert findings(world) == []
    world.work()
    (refund,) = world.platform.refunds.all()
    world.ends(refund.request.out_refund_no)
    assert (sums(world).refunded_fen, sums(world).review_fen, open_items(world)) == (500, 0, [])
    assert world.balance_fen() == 0


def test_a_payment_of_another_system_is_neither_assigned_nor_refunded(world: PayoutWorld) -> None:
    number = "MEAL202603100001"
    world.services.pay.prepay(
        out_trade_no=number,
        description="餐卡",
        amount_fen=500,
        openid=PEOPLE[0],
        expires_at=world.clock.now() + timedelta(hours=1),
    )
    world.platform.pay(number, PEOPLE[0])
    world.tell(world.platform.book.get(number))
    (item,) = open_items(world)
    for action, details in (("assign", {"account": ACCOUNTS[0]}), ("send-back", {})):
        with pytest.raises(unmatched_payments.NotOurs):
            reviews.propose(
                world.services, item.id, action=action, actor=ANNA, evidence=EVIDENCE, details=details
            )
    with world.database.reading() as session:
        assert list(session.scalars(select(PaymentFact))) == []
    assert (world.sent(), world.balance_fen()) == (0, 0)


def test_a_known_prefix_of_another_system_wins_over_the_form_of_the_number(world: PayoutWorld) -> None:
    order_no, item = unmatched(world)
    rules = replace(world.services.rules, foreign_prefixes=(order_no[:5],))
    services = replace(world.services, rules=rules)
    with pytest.raises(unmatched_payments.NotOurs):
        reviews.propose(services, item.id, action="send-back", actor=ANNA, evidence=EVIDENCE)


def test_a_payment_that_was_refunded_meanwhile_is_not_assigned(world: PayoutWorld) -> None:
    order_no, item = unmatched(world)
    reviews.propose(
        world.services,
        item.id,
        action="assign",
        actor=ANNA,
        evidence=EVIDENCE,
        details={"account": ACCOUNTS[0]},
    )
    world.console(order_no)
    with pytest.raises(Refused):
        reviews.approve(world.services, item.id, actor=BERT)
    world.work()
    assert (world.balance_fen(), sums(world).paid_fen) == (0, 0)
