"""Figures tell what the states say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from app.metrics import HouseCollector
from models.outbox import Remote
from payments import credit, pauses
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


def test_an_outage_is_a_figure_until_it_ends(world: World) -> None:
    failure = pauses.Failure("credit:1", "down", whole=True)

    def outage_s() -> float:
        with world.database.reading() as session:
            return figures(session, world.clock()).outages_s["billing"]

    assert outage_s() == 0
    with world.database.transaction() as session:
        pauses.note_failure(session, Remote.BILLING, failure, now=world.clock())
    world.clock.forward(minutes=10)
    assert outage_s() == 600
    registry = CollectorRegistry()
    registry.register(HouseCollector(world.database, world.clock))
    assert 'campusnet_outage_seconds{remote="billing"} 600.0' in generate_latest(registry).decode()
    with world.database.transaction() as session:
        pauses.note_success(session, Remote.BILLING, now=world.clock())
    assert outage_s() == 0
