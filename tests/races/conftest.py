"""A desk on PostgreSQL with real connections, and the pay platform beside it in the same process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from billing.embedded import seed
from billing.embedded.engine import EmbeddedBilling
from models.db.engine import Database
from models.order import NotifyInbox, Order, OrderStatus, PaymentFact, find_order
from payments import notify, numbers, orders, outbox, settle
from payments.audit.invariants import check
from payments.services import Services
from payments.wechatpay.client import WechatPay
from sandbox.credentials import Credentials
from sandbox.pay.notify import paid_event
from tests.models_of_money.in_process import Counterpart, connect
from tests.models_of_money.world import ACCOUNTS, PEOPLE, RULES, SITE, pay_config

AMOUNT_FEN = 500


class Desk:
    """What several processes would do at once, one method each."""

    def __init__(self, database: Database, credentials: Credentials, patch: pytest.MonkeyPatch) -> None:
        self.counterpart = Counterpart(credentials)
        connect(self.counterpart, patch)
        clock = self.counterpart.clock.now
        with database.transaction() as session:
            rows = [seed.DemoAccount(number, "测试") for number in ACCOUNTS]
            seed.seed_demo_accounts(session, rows, clock())
        self.database = database
        self.services = Services(
            database=database,
            clock=clock,
            billing=EmbeddedBilling(database, clock),
            pay=WechatPay(pay_config(credentials), clock),
            rules=RULES,
            site=SITE,
            wake=lambda: None,
        )
        self.counterpart.outbound.receive = lambda headers, body: notify.receive(self.services, headers, body)

    def order(self) -> str:
        """Order; every call has the same wish."""
        view = orders.start_recharge(
            self.services, openid=PEOPLE[0], account_no=ACCOUNTS[0], amount_fen=AMOUNT_FEN
        )
        return view.order_no

    def paid_order(self) -> str:
        """An order that the payer has paid and nobody has told us of."""
        order_no = self.order()
        orders.pay_params(self.services, order_no=order_no, openid=PEOPLE[0])
        self.counterpart.platform.pay(numbers.out_trade_no(order_no, 1))
        return order_no

    def tell(self, order_no: str, spoil: str = "") -> int:
        """One notice. Returns: the status we answered."""
        trade = self.counterpart.platform.book.get(numbers.out_trade_no(order_no, 1))
        return self.counterpart.platform.notifier.send(paid_event(trade), spoil=spoil)

    def ask(self, order_no: str) -> bool:
        """One query that finds the payment."""
        return settle.ask(self.services, order_no)

    def later(self, seconds: float) -> Services:
        """The services of somebody who comes later, when leases have run out."""
        clock = self.services.clock
        return replace(self.services, clock=lambda: clock() + timedelta(seconds=seconds))

    def claim(self, owner: str, services: Services, kind: str = "credit") -> outbox.Claim:
        """Lease the one item of a kind."""
        with services.transaction() as session:
            (held,) = outbox.claim(session, owner, now=services.clock(), limit=1, kinds=[kind])
        return held

    def verdicts(self) -> list[str | None]:
        """What became of each kept notice."""
        with self.services.reading() as session:
            return list(session.scalars(select(NotifyInbox.verdict)))

    def status(self, order_no: str) -> OrderStatus:
        """Of the order."""
        with self.services.reading() as session:
            found = find_order(session, order_no)
            assert found is not None
            return OrderStatus(found.status)

    def count(self, table: type[Order | PaymentFact]) -> int:
        """Rows."""
        with self.services.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def findings(self) -> list[str]:
        """Where the books disagree."""
        with self.services.reading() as session:
            return check(session)


@pytest.fixture
def desk(postgres_database: Database, credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(postgres_database, credentials, monkeypatch)
