"""Everybody who moves money of one account, each in a thread, and four workers whose clocks differ."""

from __future__ import annotations

import random
import secrets
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import func, select, update

from app.worker import Deliver, Worker
from billing.embedded import seed
from billing.embedded.engine import EmbeddedBilling
from models.counter import Way
from models.db.engine import Database
from models.errors import IllegalTransition, Refused, ServiceError, Unknown
from models.order import Credit, CreditStatus, Order, OrderStatus, PaymentFact
from models.package import Purchase, TrafficLot
from models.payout import PartStatus, PayoutPart
from models.person import bind
from models.refund import Refund, RefundStatus
from models.values.actor import Actor
from payments import credit, notify, numbers, orders, settle, swap, sweep
from payments.audit import hash_chain
from payments.confirm import COUNTER
from payments.counter import desk
from payments.counter import returns as counter_returns
from payments.outcome import Done
from payments.payouts import approval as payouts
from payments.payouts import delivery as payout_delivery
from payments.payouts import transfer_list
from payments.refunds import approval as refunds
from payments.refunds import delivery as refund_delivery
from payments.services import Services
from payments.wechatpay.client import WechatPay
from sandbox.credentials import Credentials
from sandbox.pay import refunds_api
from sandbox.pay.errors import PayError
from sandbox.pay.notify import paid_event
from sandbox.pay.orders import SUCCESS, Unpayable
from tests.models_of_money.in_process import connect
from tests.models_of_money.money_world import EVIDENCE, NAME, PACKAGE
from tests.models_of_money.trouble import (
    LEASE_S,
    AnswerLostError,
    LossyDatabase,
    Trouble,
    TroubledBilling,
    TroubledCounterpart,
)
from tests.models_of_money.world import ACCOUNTS, PEOPLE, RULES, SITE, pay_config

ACCOUNT, PAYER = ACCOUNTS[0], PEOPLE[0]
ANNA, BERT = Actor("anna"), Actor("bert")
CLERKS = (Actor("clara"), Actor("dora"))
CASHIERS = (Actor("emil"), Actor("fritz"))
PRICE_FEN = 500
# Taken off the account for the bank, or on its way back through WeChat Pay.
PAID_OUT = (PartStatus.WITHDRAWN, PartStatus.LISTED, PartStatus.PAID, PartStatus.REFUND)
CLOCK_ERRORS_S = (0.0, 3.0, -3.0, 0.5)
# On a busy machine the race goes on until enough of everything was done, but not for ever.
ENOUGH = 3
PATIENCE_S = 20.0
JOIN_S = 30.0
# Longer than back-offs and leases, then longer than whatever waits for another day.
DRAIN_STEPS_S = (*[700.0] * 5, *[90_000.0] * 3)
DRAIN_ROUNDS_MAX = 2_000

Act = Callable[[random.Random], object]


class Race:
    """One campus with one account, everybody who moves its money, and the workers."""

    def __init__(
        self,
        database: Database,
        credentials: Credentials,
        patch: pytest.MonkeyPatch,
        number: int,
        lost_commits: float,
    ) -> None:
        self.number = number
        self.trouble = Trouble(number)
        self.counterpart = TroubledCounterpart(credentials, self.trouble)
        self.platform, self.clock = self.counterpart.platform, self.counterpart.clock
        connect(self.counterpart, patch)
        with database.transaction() as session:
            rows = [seed.DemoAccount(account_no, NAME) for account_no in ACCOUNTS]
            seed.seed_demo_accounts(session, rows, self.clock.now())
            seed.seed_catalogue(session)
            # A payout goes back through WeChat Pay first, to the owner who paid there.
            bind(session, PAYER, ACCOUNT, self.clock.now())
        self.database = LossyDatabase(database.url, self.trouble, lost_commits)
        notify_url = "https://site.invalid/wechatpay/refund"
        self._config = replace(pay_config(credentials), refund_notify_url=notify_url)
        self.services = self._services(0.0)
        self.counterpart.outbound.receive = lambda headers, body: notify.receive(self.services, headers, body)
        self.workers = [
            Worker(self._services(error_s), deliveries(), wait=lambda _seconds: None, lease_s=LEASE_S)
            for error_s in CLOCK_ERRORS_S
        ]
        self.stopped = threading.Event()
        self.unexpected: list[str] = []
        self.answers: Counter[str] = Counter()

    def close(self) -> None:
        """Let go of the connections."""
        self.database.dispose()

    def _services(self, error_s: float) -> Services:
        def clock() -> datetime:
            return self.clock.now() + timedelta(seconds=error_s)

        return Services(
            database=self.database,
            clock=clock,
            billing=TroubledBilling(EmbeddedBilling(self.database, clock), self.trouble).as_backend(),
            pay=WechatPay(self._config, clock),
            rules=RULES,
            site=SITE,
            wake=lambda: None,
        )

    def pay(self, chance: random.Random) -> None:
        """The payer orders and pays; the notice comes once, twice or not at all."""
        view = orders.start_recharge(
            self.services, openid=PAYER, account_no=ACCOUNT, amount_fen=chance.choice((100, 500, 700, 1000))
        )
        orders.pay_params(self.services, order_no=view.order_no, openid=PAYER)
        number = numbers.out_trade_no(view.order_no, 1)
        with self.counterpart.lock, suppress(Unpayable, PayError):
            self.platform.pay(number)
        with self.counterpart.lock:
            paid = [trade for trade in self.platform.book.all() if trade.request.out_trade_no == number]
        for trade in paid:
            for _ in range(chance.choice((0, 1, 1, 1, 2)) if trade.state == SUCCESS else 0):
                self.platform.notifier.send(paid_event(trade))

    def take_at_the_counter(self, chance: random.Random) -> None:
        desk.take(
            self.services,
            clerk=chance.choice(CLERKS),
            receipt_no=f"R{secrets.token_hex(4)}",
            account_no=ACCOUNT,
            name=NAME,
            amount_fen=chance.choice((2000, 3000, 5000)),
            way=Way.CASH,
        )

    def refund(self, chance: random.Random) -> None:
        """Anna asks for the money of any paid order back, and Bert agrees.

        Parts only of counter money: after a part WeChat Pay refuses all payouts for a minute.
        """
        query = select(Order.order_no, Order.amount_fen, Order.source).where(Order.status == OrderStatus.PAID)
        with self.database.reading() as session:
            paid = session.execute(query).all()
        if paid:
            order_no, paid_fen, source = chance.choice(paid)
            asked_fen = paid_fen // chance.choice((1, 2) if source == COUNTER else (1,))
            asked = refunds.request(
                self.services, order_no=order_no, amount_fen=asked_fen, reason="退费", actor=ANNA
            )
            refunds.approve(self.services, out_refund_no=asked.out_refund_no, actor=BERT)

    def end_refunds(self, _chance: random.Random) -> None:
        """WeChat Pay ends what is under way there, and tells us."""
        with self.counterpart.lock:
            ended = [
                refund
                for refund in self.platform.refunds.all()
                if refunds_api.end(self.platform, refund, SUCCESS, tell=False)
            ]
        for refund in ended:
            self.platform.notifier.send(refunds_api.refund_event(refund))

    def hand_back(self, chance: random.Random) -> None:
        """A clerk hands out what the counter owes."""
        for item in counter_returns.open_items(self.services):
            counter_returns.give_back(
                self.services, return_no=item.return_no, clerk=chance.choice(CLERKS), evidence=EVIDENCE
            )

    def buy(self, _chance: random.Random) -> None:
        """All traffic is used up, and the next package is bought; whoever got no answer buys it again."""
        with self.database.transaction() as session:
            session.execute(update(TrafficLot).values(used_bytes=TrafficLot.total_bytes))
        buy = partial(
            self.services.billing.exchange,
            ACCOUNT,
            PACKAGE,
            key=f"t{secrets.token_hex(6)}",
            price_fen=PRICE_FEN,
        )
        try:
            buy()
        except Unknown:
            buy()

    def pay_out(self, _chance: random.Random) -> None:
        """Anna asks for all that is on the account, and Bert agrees where it is still there."""
        with suppress(IllegalTransition):
            payouts.request(
                self.services,
                account_no=ACCOUNT,
                payee=NAME,
                actor=ANNA,
                bank_name="某某银行",
                bank_account="6222000012345678",
            )
        for asked in payouts.newest(self.services, waiting=True):
            try:
                payouts.approve(self.services, payout_no=asked.payout_no, actor=BERT)
            except Refused:
                payouts.reject(self.services, payout_no=asked.payout_no, actor=BERT)

    def list_payouts(self, chance: random.Random) -> None:
        """A cashier hands a list to the bank, which pays most of it."""
        actor = chance.choice(CASHIERS)
        list_no = transfer_list.make_list(self.services, actor=actor)
        for row in transfer_list.rows_of(self.services, list_no) if list_no else ():
            if chance.random() < 0.7:
                transfer_list.mark_paid(self.services, part_no=row.part_no, actor=actor)
            else:
                transfer_list.mark_failed(self.services, part_no=row.part_no, actor=actor, reason="退票")

    def keep_house(self, _chance: random.Random) -> None:
        sweep.sweep(self.services)
        hash_chain.seal(self.services)

    def run(self, seconds: float) -> None:
        """Race for so long, and until enough of everything was done; all threads have ended afterwards."""
        threads = [threading.Thread(target=self._tick, name="clock")]
        threads += [
            threading.Thread(target=self._repeat, args=(f"{act.__name__} {index}", act, pause_s))
            for index, (act, pause_s) in enumerate(self._acts())
        ]
        begun_s = time.monotonic()
        for thread in threads:
            thread.start()
        while (passed_s := time.monotonic() - begun_s) < PATIENCE_S + seconds:
            time.sleep(0.2)
            if self.unexpected or (passed_s >= seconds and min(self.work_done().values()) >= ENOUGH):
                break
        self.stopped.set()
        for thread in threads:
            thread.join(JOIN_S)
        assert not [thread.name for thread in threads if thread.is_alive()]

    def _acts(self) -> list[tuple[Act, float]]:
        """Who does what, and the pause in seconds after each time."""
        people: list[tuple[Act, float]] = [
            *[(self.pay, 0.2)] * 2,
            (self.take_at_the_counter, 0.2),
            *[(self.refund, 0.3)] * 2,
            (self.end_refunds, 0.1),
            (self.hand_back, 0.1),
            *[(self.buy, 0.2)] * 2,
            (self.pay_out, 0.15),
            (self.pay_out, 0.2),
            (self.list_payouts, 0.3),
            (self.keep_house, 0.5),
        ]
        return people + [(self._work_of(worker), 0.01) for worker in self.workers]

    def _work_of(self, worker: Worker) -> Act:
        def work(_chance: random.Random) -> None:
            worker.run_once()

        return work

    def _tick(self) -> None:
        """The clock of everybody runs as fast as the real one."""
        last_s = time.monotonic()
        while not self.stopped.wait(0.01):
            now_s = time.monotonic()
            self.clock.advance(now_s - last_s)
            last_s = now_s

    def _repeat(self, name: str, act: Act, pause_s: float) -> None:
        """A refusal and an answer that did not come are what people are used to; all else is a bug."""
        chance = random.Random(f"{self.number} {name}")
        while not self.stopped.is_set():
            try:
                act(chance)
                self.answers[name] += 1
            except (ServiceError, AnswerLostError) as error:
                self.answers[f"{name} {type(error).__name__}"] += 1
            except Exception:  # noqa: BLE001 - told by whoever waits for this thread
                self.unexpected.append(f"{name}: {traceback.format_exc()}")
            self.stopped.wait(pause_s)

    def drain(self) -> None:
        """Nothing goes wrong any more, and time passes until nothing is left to do."""
        self.trouble.end()
        chance = random.Random(self.number)
        for step_s in DRAIN_STEPS_S:
            self.clock.advance(step_s)
            self.end_refunds(chance)
            self.hand_back(chance)
            self.keep_house(chance)
            for worker in self.workers:
                assert any(not worker.run_once() for _ in range(DRAIN_ROUNDS_MAX)), "it never ends"
        self.keep_house(chance)

    def work_done(self) -> dict[str, int]:
        """How much of each kind has ended well so far."""
        queries = {
            "paid at WeChat": select(PaymentFact.id).where(PaymentFact.provider == "wechat"),
            "paid at the counter": select(PaymentFact.id).where(PaymentFact.provider == COUNTER),
            "credited": select(Credit.id).where(Credit.status == CreditStatus.CREDITED),
            "refunded": select(Refund.id).where(Refund.status == RefundStatus.SUCCESS),
            "bought": select(Purchase.id),
            "paid out": select(PayoutPart.id).where(PayoutPart.status.in_(PAID_OUT)),
        }
        with self.database.reading() as session:
            return {
                name: session.scalar(select(func.count()).select_from(query.subquery())) or 0
                for name, query in queries.items()
            }


def deliveries() -> dict[str, Deliver]:
    return {
        "settle": settle.deliver,
        "credit": credit.deliver,
        swap.KIND: swap.deliver,
        "refund": refund_delivery.deliver,
        "payout": payout_delivery.deliver,
        "inbox": notify.deliver,
        "message": lambda _services, _held: Done(),
    }
