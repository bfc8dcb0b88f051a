"""The payment side and its counterpart in one thread, with every trouble a test can ask for."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import func, select

from app.worker import Deliver, Worker
from billing.embedded import ledger, seed
from billing.embedded.engine import EmbeddedBilling
from models import schema
from models.clock import utc_now
from models.db.engine import Database
from models.errors import ServiceError
from models.ledger import Account
from models.order import Order, PaymentAttempt, PaymentFact
from models.outbox import OutboxItem, OutboxStatus
from models.site import Contact, RechargeRules, Site
from payments import credit, notify, orders, outbox, settle, sweep
from payments.audit import hash_chain as sealing
from payments.outcome import Done, Outcome
from payments.services import Services
from payments.wechatpay.client import PayConfig, WechatPay
from sandbox.credentials import Credentials
from sandbox.pay.errors import PayError
from sandbox.pay.notify import paid_event
from sandbox.pay.orders import SUCCESS, Unpayable
from sandbox.pay.orders import Order as Trade
from tests.crashes.points import Crash, Points, WatchedBilling, around_calls, around_commits
from tests.models_of_money.in_process import ORIGIN, Counterpart, connect

T = TypeVar("T")

ACCOUNTS = ("2400000001", "2400000002")
PEOPLE = ("oFirstPerson0000000000000000", "oOtherPerson0000000000000000")
RULES = RechargeRules(
    presets_fen=(500,),
    min_fen=100,
    max_fen=50_000,
    step_fen=100,
    daily_limit_fen=10**9,
    order_ttl_s=1800,
)
SITE = Site("校园网", "http://site.invalid", "", (), Contact("", "", "", "", 9, 18))
# Longer than the longest back-off with its jitter, and than any lease.
LONG_S = 800.0
DAY_S = 86_400.0
ROUNDS_MAX = 20


def make_template(folder: Path) -> Path:
    """An SQLite file with all tables and the accounts, to be copied for each world."""
    path = folder / "template.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.transaction() as session:
        rows = [seed.DemoAccount(number, "测试") for number in ACCOUNTS]
        seed.seed_demo_accounts(session, rows, utc_now())
    database.dispose()
    return path


class World:
    """One campus, one platform, one clock that the test moves, one place where processes die."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        self.points = Points()
        self.counterpart = Counterpart(credentials)
        self.platform = self.counterpart.platform
        self.clock = self.counterpart.clock
        connect(self.counterpart, patch)
        around_calls(self.points, patch)
        shutil.copy(template, database)
        self.database = Database(f"sqlite:///{database}")
        around_commits(self.points, self.database)
        self.billing = WatchedBilling(EmbeddedBilling(self.database, self.clock.now), self.points)
        self.services = Services(
            database=self.database,
            clock=self.clock.now,
            billing=self.billing.as_backend(),
            pay=WechatPay(pay_config(credentials), self.clock.now),
            rules=RULES,
            site=SITE,
            wake=lambda: None,
        )
        self.counterpart.outbound.receive = lambda headers, body: notify.receive(self.services, headers, body)
        self.told: list[str] = []
        self.order_nos: list[str] = []
        self.worker = self._new_worker()

    def close(self) -> None:
        """Let go of the file."""
        self.database.dispose()

    def run(self, journey: Callable[[], T]) -> T | None:
        """Run a journey as a process would: a named error is an answer, a crash starts a new process."""
        try:
            return journey()
        except ServiceError:
            return None
        except Crash:
            self.worker = self._new_worker()
            return None
        finally:
            self.points.arm(None)

    def start(
        self, person: int, account: int, amount_fen: int, then_package: str | None = None
    ) -> str | None:
        """Order; the number is remembered as the payer's page would."""
        view = self.run(
            lambda: orders.start_recharge(
                self.services,
                openid=PEOPLE[person],
                account_no=ACCOUNTS[account],
                amount_fen=amount_fen,
                then_package=then_package,
            )
        )
        if view is None:
            return None
        if view.order_no not in self.order_nos:
            self.order_nos.append(view.order_no)
        return view.order_no

    def prepare(self, order_no: str) -> dict[str, str] | None:
        """The payer taps the pay button."""
        openid = self.payer(order_no)
        return self.run(lambda: orders.pay_params(self.services, order_no=order_no, openid=openid))

    def pay(self, order_no: str, *, force: bool = False, seq: int = 1) -> None:
        """The payer pays; `force` also after the order was closed. Raises: Unpayable, PayError."""
        self.platform.pay(f"{order_no}{seq:02d}", self.payer(order_no), force=force)

    def two_numbers(self, person: int = 0, amount_fen: int = 500) -> str:
        """The first prepay's answer is lost, its number closed in the console, a second one taken.

        Returns: the order, or nothing when the payer could not even order.
        """
        order_no = self.start(person, person, amount_fen)
        if order_no is None:
            return ""
        self.counterpart.fault("effect_then_timeout", "pay.prepay")
        self.prepare(order_no)
        with suppress(PayError):
            self.platform.book.close(f"{order_no}01")
        self.prepare(order_no)
        return order_no

    def paid_twice(self, person: int = 0, amount_fen: int = 500) -> str:
        """Both numbers of one order are paid, the closed one by a payment that was under way."""
        order_no = self.two_numbers(person, amount_fen)
        for seq in (1, 2) if order_no else ():
            with suppress(Unpayable, PayError):
                self.pay(order_no, force=True, seq=seq)
        return order_no

    def tell(self, trade: Trade, spoil: str = "") -> int:
        """One notice of a paid trade. Returns: the status answered, 0 for none."""
        try:
            return self.platform.notifier.send(paid_event(trade), spoil=spoil)
        finally:
            self.points.arm(None)

    def paid_trades(self) -> list[Trade]:
        """What the platform took money for."""
        return [trade for trade in self.platform.book.all() if trade.state == SUCCESS]

    def turn(self, rounds: int = 1) -> int:
        """Let a worker do some rounds. Returns: how many items it leased."""
        return sum(self.run(self.worker.run_once) or 0 for _ in range(rounds))

    def spend(self) -> None:
        """Whoever has money on an account swaps all of it for packages."""
        with self.database.transaction() as session:
            for account in session.scalars(select(Account).where(Account.balance_fen > 0)):
                legs = (
                    ledger.Leg(ledger.book_of(account.account_no), -account.balance_fen),
                    ledger.Leg("income:packages", account.balance_fen),
                )
                key = f"spent:{account.account_no}:{secrets.token_hex(8)}"
                ledger.post(session, key=key, kind=ledger.EXCHANGE, legs=legs, at=self.clock.now())

    def keep_house(self) -> None:
        """What the periodic jobs do."""
        self.run(lambda: sweep.sweep(self.services))
        self.run(lambda: sealing.seal(self.services))

    def order_of(self, out_trade_no: str) -> str:
        """The order that this payment belongs to now: a second payment may have become one of its own."""
        query = select(Order.order_no).join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
        with self.database.reading() as session:
            return session.scalars(query.where(PaymentAttempt.out_trade_no == out_trade_no)).one()

    def payer(self, order_no: str) -> str:
        """Whose order it is."""
        with self.database.reading() as session:
            return session.scalars(select(Order.payer_openid).where(Order.order_no == order_no)).one()

    def end_trouble(self) -> None:
        """From now on nothing goes wrong."""
        self.points.arm(None)
        self.counterpart.line_down = 0
        self.counterpart.engine.faults.clear()
        self.billing.faults.clear()
        self.billing.faults_of.clear()

    def calm(self) -> None:
        """No more trouble, and time enough for everything that was promised."""
        self.end_trouble()
        self.keep_house()
        for number in range(ROUNDS_MAX):
            self.clock.advance(min(LONG_S * 2**number, DAY_S))
            while self.turn():
                pass
            if not self.waiting():
                return

    def waiting(self) -> int:
        """Outbox rows that still have to be worked on."""
        with self.database.reading() as session:
            ready = select(func.count()).where(OutboxItem.status == OutboxStatus.READY)
            return session.scalar(ready) or 0

    def unrecorded(self) -> list[Trade]:
        """What the platform took money for and we do not know of."""
        with self.database.reading() as session:
            known = set(session.scalars(select(PaymentFact.transaction_id)))
        return [trade for trade in self.paid_trades() if trade.transaction_id not in known]

    def read_bill_row(self, trade: Trade) -> None:
        """What reconciliation does with a payment that it finds in the bill and not with us."""
        known = self.services.pay.query(trade.request.out_trade_no)
        settle.record_trade(self.services, known, cause="bill")

    def _new_worker(self) -> Worker:
        deliveries: dict[str, Deliver] = {
            "settle": settle.deliver,
            "credit": credit.deliver,
            "inbox": notify.deliver,
            "message": self._tell_payer,
        }
        return Worker(self.services, deliveries, wait=lambda _seconds: None)

    def _tell_payer(self, services: Services, held: outbox.Claim) -> Outcome:
        del services
        self.points.here("before message")
        self.told.append(held.key)
        self.points.here("after message")
        return Done()


def pay_config(credentials: Credentials) -> PayConfig:
    """Our side of the simulated merchant."""
    return PayConfig(
        app_id=credentials.app_id,
        mch_id=credentials.mch_id,
        api_v3_key=credentials.api_v3_key,
        merchant_serial=credentials.merchant_serial,
        merchant_key_pem=credentials.merchant_key_pem,
        public_keys={credentials.public_key_id: credentials.public_key_pem},
        platform_certs=(credentials.platform_cert_pem,),
        api_base=ORIGIN,
        notify_url="https://site.invalid/wechatpay/notify",
    )
