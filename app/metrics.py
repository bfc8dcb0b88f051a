"""Prometheus figures on a port of their own, read from the database when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from billing.embedded.dead_letters import AccountingFigures
from billing.embedded.dead_letters import figures as accounting_figures
from models.clock import Clock
from models.db.engine import Database
from models.recovery import last_verified_at
from payments.audit.book_check import BookFigures
from payments.audit.book_check import figures as book_figures
from payments.audit.invariants import conservation
from payments.audit.manual_metrics import ManualFigures, manual_figures
from payments.audit.metrics import Figures, figures


@dataclass(frozen=True, eq=False)
class HouseCollector(Collector):
    """Asks the database on each scrape; `campusnet_up` is 0 when it cannot."""

    database: Database
    clock: Clock
    # Security events by kind, as the web processes count them.
    security: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterator[Metric]:
        """All metrics of the house."""
        up = GaugeMetricFamily("campusnet_up", "1 when the figures could be read")
        try:
            with self.database.reading() as session:
                found = list(_families(figures(session, self.clock())))
                found.append(_money(asdict(conservation(session))))
                found.append(_backup(last_verified_at(session), self.clock()))
                found += _manual(manual_figures(session))
                found += _accounting(accounting_figures(session))
                found += _book_families(book_figures(session, self.clock()))
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found
        yield _security(self.security())


def serve(database: Database, clock: Clock, bind: str, security: Callable[[], Mapping[str, int]]) -> None:
    """Serve `/metrics` in a daemon thread; `bind` is `address:port`."""
    address, _, port = bind.rpartition(":")
    registry = CollectorRegistry()
    registry.register(HouseCollector(database, clock, security))
    start_http_server(int(port), addr=address or "127.0.0.1", registry=registry)


def _security(counted: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily("campusnet_security_events", "security events by kind", labels=["kind"])
    for kind, number in sorted(counted.items()):
        family.add_metric([kind], number)
    return family


def _families(found: Figures) -> Iterator[Metric]:
    for name, label, values in (
        ("orders", "status", found.orders),
        ("credits", "status", found.credits),
        ("refunds", "status", found.refunds),
        ("reviews_open", "kind", found.reviews_open),
        ("notices_last_day", "verdict", found.notices),
    ):
        family = GaugeMetricFamily(f"campusnet_{name}", f"{name} by {label}", labels=[label])
        for state, count in values.items():
            family.add_metric([str(state)], count)
        yield family
    yield from _queue_families(found)
    outages = GaugeMetricFamily(
        "campusnet_outage_seconds", "since when an outside system fails; 0: it works", labels=["remote"]
    )
    for remote, seconds in found.outages_s.items():
        outages.add_metric([remote], seconds)
    yield outages
    for name, value in (
        ("credit_latency_p50_seconds", found.credit_p50_s),
        ("credit_latency_p99_seconds", found.credit_p99_s),
        ("reconcile_differences", found.differences_last_run),
        ("reconcile_days_due", found.days_due),
        ("reconcile_days_without_bill", found.days_without_bill),
        ("transfers_unconfirmed", found.transfers_unconfirmed),
    ):
        yield GaugeMetricFamily(f"campusnet_{name}", name.replace("_", " "), value=value)


def _queue_families(found: Figures) -> Iterator[Metric]:
    ready = GaugeMetricFamily("campusnet_outbox_ready", "work that is ready", labels=["kind"])
    parked = GaugeMetricFamily("campusnet_outbox_parked", "work that waits for a person", labels=["kind"])
    oldest = GaugeMetricFamily(
        "campusnet_outbox_oldest_seconds", "since when the oldest is due", labels=["kind"]
    )
    for queue in found.queues:
        ready.add_metric([queue.kind], queue.ready)
        parked.add_metric([queue.kind], queue.parked)
        oldest.add_metric([queue.kind], queue.oldest_due_s)
    yield from (ready, parked, oldest)


def _backup(at: datetime | None, now: datetime) -> Metric:
    """Without a verified backup there is no value, which an alert on absence notices."""
    family = GaugeMetricFamily("campusnet_backup_age_seconds", "age of the last verified backup", labels=[])
    if at is not None:
        family.add_metric([], max(0.0, (now - at).total_seconds()))
    return family


def _manual(found: ManualFigures) -> list[Metric]:
    kept = GaugeMetricFamily(
        "campusnet_write_offs_fen", "money of dismissed items by what was decided", labels=["kind"]
    )
    for kind, fen in found.kept_fen.items():
        kept.add_metric([str(kind)], fen)
    return [
        kept,
        GaugeMetricFamily(
            "campusnet_foreign_payments",
            "payments of other systems in the last bill",
            value=found.foreign_rows,
        ),
        GaugeMetricFamily(
            "campusnet_foreign_payments_fen",
            "payments of other systems in the last bill, in fen",
            value=found.foreign_fen,
        ),
    ]


def _accounting(found: AccountingFigures) -> list[Metric]:
    letters = GaugeMetricFamily(
        "campusnet_accounting_dead_letters",
        "accounting records that were received and not counted",
        labels=["reason"],
    )
    # Always there, so that an alarm can ask for more than zero.
    for reason, count in ({"no_account": 0} | found.dead_letters).items():
        letters.add_metric([reason], count)
    doubts = GaugeMetricFamily(
        "campusnet_accounting_wraparounds_in_doubt",
        "reports of counters without gigawords that were decided for the student",
        value=sum(found.in_doubt.values()),
    )
    return [letters, doubts]


def _book_families(found: BookFigures) -> Iterator[Metric]:
    failures = GaugeMetricFamily(
        "campusnet_book_check_failures", "places where the books are wrong", labels=["check"]
    )
    # Always there, so that an alarm can ask for more than zero.
    failures.add_metric(["all"], sum(found.failures.values()))
    for check, count in found.failures.items():
        failures.add_metric([check], count)
    yield failures
    for name, text, value in (
        ("book_check_age_seconds", "since the last complete check of the books", found.age_s),
        ("accounts_held", "accounts whose payouts and refunds wait", found.held_accounts),
    ):
        yield GaugeMetricFamily(f"campusnet_{name}", text, value=value)


def _money(places: dict[str, int]) -> Metric:
    family = GaugeMetricFamily("campusnet_money_fen", "recorded payments by where they are", labels=["place"])
    for name, value in places.items():
        family.add_metric([name.removesuffix("_fen")], value)
    return family
