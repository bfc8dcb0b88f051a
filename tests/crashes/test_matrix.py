"""The crash matrix: each journey dies at each of its commits and calls, is restarted, and ends as it should.

The platform is the simulated one over real HTTP; places are counted by running the journey undisturbed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import wiring
from app.redis_server import RedisServer
from app.worker import Worker
from billing.embedded.ledger import wrong_balances
from models.errors import ServiceError, Unknown
from models.ledger import Entry
from models.order import CreditStatus, Order, OrderStatus, credit_of, find_order
from models.outbox import OutboxItem, OutboxStatus
from payments import notify, numbers, orders
from payments.audit.invariants import check, conservation
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.faults import Fault
from sandbox.pay.notify import paid_event
from sandbox.pay.orders import Unpayable
from sandbox.server import Sandbox
from tests.crashes.points import Crash, Points, WatchedBilling, around_calls, around_commits
from tests.models_of_money.in_process import DirectOutbound
from tests.models_of_money.memory import memory_folder
from tests.rig import make_config, prepare

AMOUNT_FEN = 500
# Beyond the longest back-off and every lease, within an order's half hour.
LONG_S = 800.0
ROUNDS_MAX = 12


class Town:
    """One campus whose processes die where `points` says; time moves by hand for everybody."""

    def __init__(self, folder: Path, credentials: Credentials, redis_url: str) -> None:
        self.sandbox = Sandbox(credentials, Site("http://127.0.0.1:9", "http://127.0.0.1:9/wechat"))
        self.sandbox.start()
        self.sandbox.engine.faults.add(Fault("lost", "pay.notify", times=None))
        url = f"sqlite:///{folder / 'crashes.db'}"
        prepare(url, [student.identity for student in self.sandbox.students])
        config = make_config(
            folder,
            credentials,
            site="http://127.0.0.1:9",
            platform=self.sandbox.url,
            database_url=url,
            redis_url=redis_url,
            recharge={"daily_limit_fen": 10**9},
        )
        self.house = wiring.build(config, clock=self.sandbox.engine.clock.now)
        self.points = Points()
        self.billing = WatchedBilling(self.house.web.billing, self.points)
        self.services = replace(self.house.web, billing=self.billing.as_backend())
        self.outbound = DirectOutbound(self.sandbox.engine)
        self.outbound.receive = lambda headers, body: notify.receive(self.services, headers, body)
        self.sandbox.engine.outbound = self.outbound
        student = next(iter(self.sandbox.students))
        self.openid, self.account_no = student.openid, student.identity.account_no
        self.sandbox.oa.followers.follow(self.openid)

    def close(self) -> None:
        self.points.arm(None)
        self.house.close()
        self.sandbox.stop()

    def move(self, seconds: float) -> None:
        self.sandbox.engine.scheduler.advance(seconds)

    def work(self) -> int:
        """One round of a worker that has just been started."""
        worker = Worker(self.services, self.house.deliveries, wait=lambda _seconds: None)
        return worker.run_once()

    def start(self) -> str:
        view = orders.start_recharge(
            self.services, openid=self.openid, account_no=self.account_no, amount_fen=AMOUNT_FEN
        )
        return view.order_no

    def prepare(self, order_no: str) -> None:
        orders.pay_params(self.services, order_no=order_no, openid=self.openid)

    def pay(self, order_no: str) -> None:
        """Pay, also what was closed meanwhile, once."""
        with suppress(Unpayable):
            self.sandbox.pay.pay(numbers.out_trade_no(order_no, 1), self.openid, force=True)

    def tell(self, order_no: str) -> None:
        trade = self.sandbox.pay.book.get(numbers.out_trade_no(order_no, 1))
        self.sandbox.pay.notifier.send(paid_event(trade))

    def waiting(self) -> int:
        with self.services.reading() as session:
            open_rows = select(func.count()).where(OutboxItem.status != OutboxStatus.DONE)
            return session.scalar(open_rows) or 0


@dataclass(frozen=True)
class Journey:
    """`act` is cut short; `before` brings the order to where it starts, undisturbed."""

    name: str
    before: Callable[[Town], str]
    act: Callable[[Town, str], object]


def nothing(_town: Town) -> str:
    return ""


def ordered(town: Town) -> str:
    return town.start()


def prepaid(town: Town) -> str:
    order_no = ordered(town)
    town.prepare(order_no)
    return order_no


def paid_unheard(town: Town) -> str:
    order_no = prepaid(town)
    town.pay(order_no)
    return order_no


def paid_and_asked_about(town: Town) -> str:
    order_no = paid_unheard(town)
    town.move(11)
    return order_no


def unpaid_and_over(town: Town) -> str:
    order_no = prepaid(town)
    town.move(1801)
    return order_no


def paid_unheard_and_over(town: Town) -> str:
    order_no = paid_unheard(town)
    town.move(1801)
    return order_no


def told(town: Town) -> str:
    order_no = paid_unheard(town)
    town.tell(order_no)
    return order_no


def told_while_billing_fell_silent(town: Town) -> str:
    order_no = told(town)
    town.billing.faults.append(("after", Unknown("no answer")))
    town.work()
    town.move(3)
    return order_no


def credited(town: Town) -> str:
    order_no = told(town)
    town.work()
    return order_no


def ask(town: Town, order_no: str) -> object:
    return orders.check_now(town.services, order_no=order_no, openid=town.openid)


def give_up(town: Town, order_no: str) -> object:
    return orders.cancel(town.services, order_no=order_no, openid=town.openid)


JOURNEYS = (
    Journey("start_recharge", nothing, lambda town, _: town.start()),
    Journey("pay_params", ordered, lambda town, number: town.prepare(number)),
    Journey("notify", paid_unheard, lambda town, number: town.tell(number)),
    Journey("settle finds a payment", paid_and_asked_about, lambda town, _: town.work()),
    Journey("expiry", unpaid_and_over, lambda town, _: town.work()),
    Journey("expiry of a paid order", paid_unheard_and_over, lambda town, _: town.work()),
    Journey("check_now", paid_unheard, ask),
    Journey("cancel", prepaid, give_up),
    Journey("cancel of a paid order", paid_unheard, give_up),
    Journey("credit", told, lambda town, _: town.work()),
    Journey("credit in doubt", told_while_billing_fell_silent, lambda town, _: town.work()),
    Journey("message", credited, lambda town, _: town.work()),
)


@pytest.fixture(scope="module")
def town(credentials: Credentials, redis_server: RedisServer) -> Iterator[Town]:
    with memory_folder() as folder, pytest.MonkeyPatch.context() as patch:
        made = Town(folder, credentials, redis_server.url)
        around_commits(made.points, made.house.database)
        around_calls(made.points, patch)
        yield made
        made.close()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)
def test_a_journey_cut_anywhere_ends_with_one_credit(journey: Journey, town: Town) -> None:
    places = run(journey, town, None)
    assert len(places) >= 2
    for index, place in enumerate(places):
        passed = run(journey, town, index)
        assert passed[: index + 1] == places[: index + 1], f"{place} (number {index}) was not reached"


def run(journey: Journey, town: Town, cut: int | None) -> list[str]:
    """The journey with a new order, cut at a place, then everything that follows. Returns: places passed."""
    orders_before = count_orders(town)
    order_no = journey.before(town)
    # Virtual time ends the token's life, Redis does not: a run that renews it has more places than the next.
    tokens = town.house.wechat.tokens
    tokens.drop(tokens.get())
    tokens.get()
    town.points.arm(cut)
    with suppress(Crash):
        journey.act(town, order_no)
    passed = list(town.points.passed)
    town.points.arm(None)
    # Whoever was cut off while ordering orders again.
    order_no = order_no or town.start()
    finish(town, order_no)
    assert count_orders(town) == orders_before + 1
    check_one_credit(town, order_no)
    return passed


def finish(town: Town, order_no: str) -> None:
    """What payer, platform and fresh workers do afterwards: try again, pay, send again, work."""
    with suppress(ServiceError):
        town.prepare(order_no)
    town.pay(order_no)
    town.tell(order_no)
    for _ in range(ROUNDS_MAX):
        while town.work():
            pass
        if not town.waiting():
            return
        town.move(LONG_S)


def check_one_credit(town: Town, order_no: str) -> None:
    with town.services.reading() as session:
        order = find_order(session, order_no)
        assert order is not None
        credit = credit_of(session, order.id)
        assert order.status == OrderStatus.PAID
        assert credit is not None
        assert credit.status == CreditStatus.CREDITED
        assert check(session) == []
        assert wrong_balances(session) == []
        sums = conservation(session)
        assert (sums.in_flight_fen, sums.review_fen) == (0, 0)
        entries = select(func.count()).where(Entry.key == f"credit:{credit.credit_no}")
        assert session.scalar(entries) == 1
    assert town.waiting() == 0


def count_orders(town: Town) -> int:
    with town.services.reading() as session:
        return session.scalar(select(func.count(Order.id))) or 0
