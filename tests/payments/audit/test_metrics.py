"""Figures tell what the states say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from app.metrics import HouseCollector
from payments import credit
from payments.audit.metrics import credits_flow, figures
from tests.builders import World


def test_figures_count_orders_credits_queues_and_latency(world: World) -> None:
    view = world.paid()
    world.prepaid(600)
    world.clock.forward(seconds=4)
    with world.database.reading() as session:
        waiting = figures(session, world.clock())
    assert waiting.orders == {"PAID": 1, "PREPAID": 1}
    assert {queue.kind: queue.ready for queue in waiting.queues} == {"credit": 1, "settle": 2}
    assert next(q.oldest_due_s for q in waiting.queues if q.kind == "credit") == 4
    (held,) = world.claim("credit")
    credit.deliver(world.services, held)
    with world.database.reading() as session:
        done = figures(session, world.clock())
    assert done.credits == {"CREDITED": 1}
    assert done.credit_p99_s == 4
    assert view.order_no


def test_a_credit_that_waits_too_long_is_told(world: World) -> None:
    world.paid()
    with world.database.reading() as session:
        assert credits_flow(session, world.clock())
    world.clock.forward(minutes=6)
    with world.database.reading() as session:
        assert not credits_flow(session, world.clock())


def test_prometheus_reads_them(world: World) -> None:
    world.paid()
    registry = CollectorRegistry()
    registry.register(HouseCollector(world.database, world.clock))
    text = generate_latest(registry).decode()
    assert "campusnet_up 1.0" in text
    assert 'campusnet_orders{status="PAID"} 1.0' in text
    assert 'campusnet_money_fen{place="in_flight"} 500.0' in text
    assert 'campusnet_outbox_ready{kind="credit"} 1.0' in text
