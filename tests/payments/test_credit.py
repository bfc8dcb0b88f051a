"""A credit is sent until it is known, asked about after any doubt, and never applied twice."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models.allocation import Allocation
from models.errors import Conflict, Unavailable, Unknown
from models.order import CreditStatus
from models.review import ReviewItem, ReviewKind
from payments import credit
from payments.outcome import Done, Park
from payments.views import OrderView
from tests.builders import World, effect, refusal


def deliver(world: World, view: OrderView, owner: str = "w1") -> object:
    (held,) = [item for item in world.claim("credit", owner=owner) if item.key == view.order_no]
    return credit.deliver(world.services, held)


def test_a_paid_order_is_credited_and_the_payer_is_told(world: World) -> None:
    view = world.paid()
    assert deliver(world, view) == Done()
    assert world.credit(view).status == CreditStatus.CREDITED
    assert world.billing.credits == {f"c{view.order_no}": ("2400101001", 500)}
    told = world.item("message", f"credited:{view.order_no}")
    assert told is not None
    assert "充值到账" in told.payload["text"]


def test_a_timeout_after_the_effect_is_found_and_not_repeated(world: World) -> None:
    view = world.paid()
    world.billing.troubles = [effect(Unknown("timeout"))]
    with pytest.raises(Unknown):
        deliver(world, view)
    assert world.credit(view).status == CreditStatus.UNKNOWN
    world.clock.forward(minutes=5)
    assert deliver(world, view) == Done()
    assert world.billing.calls == ["credit", "find_credit"]
    assert world.credit(view).status == CreditStatus.CREDITED


def test_a_timeout_without_effect_is_asked_about_and_then_sent_again(world: World) -> None:
    view = world.paid()
    world.billing.troubles = [Unknown("timeout")]
    with pytest.raises(Unknown):
        deliver(world, view)
    world.clock.forward(minutes=5)
    assert deliver(world, view) == Done()
    assert world.billing.calls == ["credit", "find_credit", "credit"]


def test_a_crash_while_sending_is_a_doubt(world: World) -> None:
    view = world.paid()
    world.billing.troubles = [effect(ZeroDivisionError("killed"))]  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        deliver(world, view)
    assert world.credit(view).status == CreditStatus.SENDING
    world.clock.forward(minutes=5)
    assert deliver(world, view) == Done()
    assert world.billing.calls == ["credit", "find_credit"]


def test_a_back_end_that_cannot_be_asked_leaves_the_doubt_to_a_person(world: World) -> None:
    view = world.paid()
    world.billing.can_find = False
    world.billing.troubles = [Unknown("timeout")]
    with pytest.raises(Unknown):
        deliver(world, view)
    world.clock.forward(minutes=5)
    assert isinstance(deliver(world, view), Park)
    assert world.billing.calls == ["credit"]
    assert world.credit(view).status == CreditStatus.MANUAL
    with world.database.reading() as session:
        assert session.scalars(select(ReviewItem.kind)).all() == [ReviewKind.CREDIT_UNKNOWN]


def test_a_refusal_is_left_to_a_person_and_frees_the_money(world: World) -> None:
    view = world.paid()
    world.billing.troubles = [refusal()]
    assert isinstance(deliver(world, view), Park)
    assert world.credit(view).status == CreditStatus.REJECTED
    with world.database.reading() as session:
        assert session.get_one(Allocation, view.id).credit_fen == 0
        assert session.scalars(select(ReviewItem.kind)).all() == [ReviewKind.CREDIT_REFUSED]


def test_a_back_end_that_is_away_is_tried_again(world: World) -> None:
    view = world.paid()
    world.billing.troubles = [Unavailable("down")]
    with pytest.raises(Unavailable):
        deliver(world, view)
    assert world.credit(view).status == CreditStatus.PENDING
    world.clock.forward(minutes=5)
    assert deliver(world, view) == Done()
    assert world.billing.calls == ["credit", "credit"]


def test_a_worker_that_comes_back_late_undoes_nothing(world: World) -> None:
    view = world.paid()
    (late,) = world.claim("credit", owner="late", lease_s=5)
    _, earlier = credit._begin(world.services, late, view.order_no, None)
    assert earlier is None
    world.clock.forward(seconds=10)
    assert deliver(world, view, owner="quick") == Done()
    # The late one learns only now that its own call had failed.
    with pytest.raises(Conflict):
        credit._not_applied(world.services, late, CreditStatus.PENDING, "billing is not reachable")
    assert world.credit(view).status == CreditStatus.CREDITED
    with world.database.reading() as session:
        assert session.get_one(Allocation, view.id).credit_fen == 500
