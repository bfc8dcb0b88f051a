"""`python -m bench.drill`: a backup, a busy time, the database destroyed, restored, recovered, compared.

On PostgreSQL, against the simulated WeChat: payments with and without a package, refunds in whole and in
part, packages from the balance, payouts by bank, unpaid orders, payments of another system on the same
merchant number. WeChat's books and those of the bank are compared with the balances afterwards.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import func, select

from app.backup.command import work
from app.backup.make import make_backup
from app.backup.restore import restore_backup
from bench.chaos_campus import Platform
from bench.drill_books import Diary, Verdict, compare
from bench.drill_site import Ground, Running, ground, until
from billing.embedded import seed
from models.errors import Conflict, IllegalTransition
from models.order import Order, OrderStatus, credit_of, find_order
from models.outbox import OutboxItem, OutboxStatus
from models.refund import Refund, RefundStatus
from models.values.actor import Actor
from payments import numbers, orders
from payments.audit import hash_chain
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.recovery import journal_copy
from payments.recovery.report import Report
from payments.recovery.run import recover
from payments.refunds import approval as refunds

T = TypeVar("T")

PAYERS = 4
TRIES = 5
PATIENCE_S = 600.0
OPENING_FEN = 1234
PACKAGE = "P05"
PACKAGE_FEN = 500
BANK_NAME, BANK_ACCOUNT = "某某银行桂林支行", "6222000012345678"
NAME = "赵小满"
ANNA, BERT, CW = (Actor.from_name(name) for name in ("anna", "bert", "cw"))
# One payment in so many goes back, is for a package, or is followed by a purchase from the balance.
REFUND_EACH, THEN_PACKAGE_EACH, BUY_EACH = 10, 12, 8


@dataclass(frozen=True)
class Plan:
    """How much happens before and after the backup, and from which seed."""

    payments: int
    history: int
    payouts: int
    foreign: int
    seed: int

    @classmethod
    def of(cls, payments: int, number: int) -> Plan:
        """A plan in proportion."""
        share = max(2, payments // 25)
        return cls(payments, max(10, payments // 10), share, share, number)


@dataclass
class Outcome:
    """Everything that the last lines of the output say."""

    verdict: Verdict
    report: Report
    again: Report
    made: dict[str, int] = field(default_factory=dict)
    restore_s: float = 0.0
    recover_s: float = 0.0


def main() -> int:
    """Run as asked; the last lines are `name: value`. Returns: 0 when nothing is lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill", description=__doc__)
    parser.add_argument("--payments", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    began = time.monotonic()
    outcome = run(Plan.of(given.payments, given.seed))
    print("\n".join(lines_of(outcome, given.seed)))
    print(f"duration_s: {time.monotonic() - began:.0f}")
    failed = outcome.verdict.lost_fen or outcome.verdict.doubled_fen or outcome.again.changed
    return 1 if failed or outcome.report.findings else 0


def run(plan: Plan) -> Outcome:
    """The whole drill. Raises: TimeoutError - something never settled."""
    with ground() as here:
        drill = Drill(plan, here)
        drill.before()
        drill.backup()
        drill.after()
        drill.destroy()
        return drill.recover()


class Drill:
    """One drill, step by step."""

    def __init__(self, plan: Plan, here: Ground) -> None:
        self._plan = plan
        self._here = here
        self._chance = random.Random(plan.seed)
        self._platform = Platform(here.sandbox.url)
        self._diary = Diary()
        self._made: dict[str, int] = {}
        self._site = Running(here, here.config)
        self._people = [student["openid"] for student in self._platform.students()]
        self._accounts = [f"25009{number:05d}" for number in range(max(10, plan.payments // 4))]
        self._leavers = [f"25008{number:05d}" for number in range(3 * plan.payouts)]
        self._open_accounts()

    def before(self) -> None:
        """Some history: payments, and payouts that the backup shows in three states."""
        self._pay_all(range(self._plan.history))
        count = self._plan.payouts
        self._payouts(self._leavers[:count], listed=True)
        self._payouts(self._leavers[count : 2 * count], listed=False)

    def backup(self) -> None:
        """As the timer does."""
        self._folder = make_backup(self._here.config, clock=self._here.clock).folder
        self._here.move(minutes=5)

    def after(self) -> None:
        """Everything that the backup does not have."""
        first = self._plan.history
        self._pay_all(range(first, first + self._plan.payments))
        self._bank_pays()
        self._payouts(self._leavers[2 * self._plan.payouts :], listed=True)
        self._bank_pays()
        for number in range(self._plan.foreign):
            self._foreign(number)
            self._order(self._accounts[0], 10**7 + 100 * number)
        self._here.move(minutes=10)
        self._wait_for_refunds()

    def destroy(self) -> None:
        """The machine is gone; the copy of the journal on the other disk is some seconds old."""
        self._site.stop_workers()
        services = self._site.house.web
        hash_chain.seal(services)
        path = self._here.config.backup.journal
        if path is not None:
            journal_copy.copy_rows(services, path)
        self._site.stop()
        self._here.destroy_database()

    def recover(self) -> Outcome:
        """Restore into a new database, recover twice, open, compare."""
        began = time.monotonic()
        config = self._here.new_database()
        restored = restore_backup(config, self._folder, by="anna", clock=self._here.clock)
        restore_s = time.monotonic() - began
        if restored.findings:
            raise RuntimeError("; ".join(restored.findings))
        self._here.move(days=2)
        self._site = Running(self._here, config)
        began = time.monotonic()
        first = self._recover()
        recover_s = time.monotonic() - began
        again = self._recover()
        self._settle()
        with self._site.house.web.reading() as session:
            verdict = compare(session, self._diary, self._platform.paid(), self._platform.refunded())
        self._site.stop()
        return Outcome(verdict, first, again, self._made, restore_s, recover_s)

    def _recover(self) -> Report:
        house = self._site.house
        return recover(
            house.web,
            since=None,
            actor=ANNA,
            work=lambda kinds: work(house, kinds),
            copy=self._here.config.backup.journal,
        )

    def _open_accounts(self) -> None:
        rows = [seed.DemoAccount(no, NAME, balance_fen=OPENING_FEN) for no in self._accounts]
        rows += [seed.DemoAccount(no, NAME, balance_fen=OPENING_FEN + 1) for no in self._leavers]
        with self._site.house.database.transaction() as session:
            seed.seed_demo_accounts(session, rows, self._here.clock())
        self._diary.opening = {row.account_no: row.balance_fen for row in rows}

    def _pay_all(self, which: range) -> None:
        with ThreadPoolExecutor(max_workers=PAYERS) as pool:
            for done in pool.map(self._pay, which):
                del done

    def _pay(self, number: int) -> None:
        # Each account is asked for one package only: a second one would have to wait until it is used up.
        account_no = self._accounts[number % len(self._accounts)]
        first_round = number // len(self._accounts) == 1
        then = PACKAGE if first_round and number % THEN_PACKAGE_EACH == 0 else None
        amount_fen = PACKAGE_FEN + 100 * number
        order_no = self._order(account_no, amount_fen, then)
        self._platform.pay(numbers.out_trade_no(order_no, 1))
        self._count("paid")
        if then is not None:
            self._wait(lambda: self._is_swapped(order_no, account_no), f"the package of {order_no}")
            self._diary.purchase(account_no, PACKAGE_FEN)
            self._count("packages with a payment")
            return
        if number % REFUND_EACH == 0:
            self._wait(lambda: self._is_credited(order_no), f"the credit of {order_no}")
            self._refund(order_no, amount_fen if number % (2 * REFUND_EACH) else amount_fen // 3)
        elif first_round and number % BUY_EACH == 0:
            self._wait(lambda: self._is_credited(order_no), f"the credit of {order_no}")
            self._buy(account_no, f"drill{number}")

    def _order(self, account_no: str, amount_fen: int, then: str | None = None) -> str:
        web, openid = self._site.house.web, self._people[amount_fen // 100 % len(self._people)]
        order_no = self._tried(
            lambda: (
                orders.start_recharge(
                    web, openid=openid, account_no=account_no, amount_fen=amount_fen, then_package=then
                ).order_no
            )
        )
        self._tried(lambda: orders.pay_params(web, order_no=order_no, openid=openid))
        self._diary.order(numbers.out_trade_no(order_no, 1), account_no)
        return order_no

    def _refund(self, order_no: str, amount_fen: int) -> None:
        web = self._site.house.web
        number = self._tried(
            lambda: (
                refunds.request(
                    web, order_no=order_no, amount_fen=amount_fen, reason="充错账号", actor=ANNA
                ).out_refund_no
            )
        )
        self._tried(lambda: refunds.approve(web, out_refund_no=number, actor=BERT))
        self._count("refunds")

    def _buy(self, account_no: str, key: str) -> None:
        billing = self._site.house.web.billing
        self._tried(lambda: billing.exchange(account_no, PACKAGE, key=key, price_fen=PACKAGE_FEN))
        self._diary.purchase(account_no, PACKAGE_FEN)
        self._count("packages")

    def _payouts(self, leavers: list[str], *, listed: bool) -> None:
        web = self._site.house.web
        for account_no in leavers:
            view = payouts.request(
                web,
                account_no=account_no,
                payee=NAME,
                actor=ANNA,
                bank_name=BANK_NAME,
                bank_account=BANK_ACCOUNT,
            )
            payouts.approve(web, payout_no=view.payout_no, actor=BERT)
            for part in view.parts:
                self._diary.payout(part.part_no, account_no, part.amount_fen)
            self._count("payouts")
        self._wait(lambda: self._are_withdrawn(leavers), "the payouts")
        if listed:
            transfer_list.make_list(web, actor=CW)

    def _bank_pays(self) -> None:
        """The bank pays what is on a list; half of it is marked in the books before they are lost."""
        web = self._site.house.web
        transfer_list.make_list(web, actor=CW)
        for part_no, fen in list(self._diary.approved.items()):
            if part_no in self._diary.paid_by_bank:
                continue
            self._diary.paid_by_bank[part_no] = fen
            self._count("paid by the bank")
            if self._chance.random() < 0.5:
                with suppress(IllegalTransition):
                    transfer_list.mark_paid(web, part_no=part_no, actor=CW)

    def _foreign(self, number: int) -> None:
        """Another system of the school takes money on the same merchant number."""
        out_trade_no = f"MEALCARD{number:08d}"
        self._site.house.web.pay.prepay(
            out_trade_no=out_trade_no,
            description="一卡通",
            amount_fen=700 + number,
            openid=self._people[0],
            expires_at=self._here.clock() + timedelta(hours=1),
            attach="meal",
        )
        self._platform.pay(out_trade_no)
        self._count("foreign")

    def _is_credited(self, order_no: str) -> bool:
        with self._site.house.web.reading() as session:
            order = find_order(session, order_no)
            credit = None if order is None else credit_of(session, order.id)
            return credit is not None and credit.status == "CREDITED"

    def _is_swapped(self, order_no: str, account_no: str) -> bool:
        billing = self._site.house.web.billing
        return billing.find_exchange(account_no, numbers.swap_no(order_no)) is not None

    def _are_withdrawn(self, leavers: list[str]) -> bool:
        billing = self._site.house.web.billing
        return all(billing.balance(account_no).balance_fen == 0 for account_no in leavers)

    def _wait_for_refunds(self) -> None:
        under_way = select(func.count()).where(Refund.status != RefundStatus.SUCCESS)
        paid = select(func.count()).where(Order.status == OrderStatus.PAID)

        def ended() -> bool:
            with self._site.house.web.reading() as session:
                all_paid = (session.scalar(paid) or 0) >= self._made["paid"]
                return all_paid and not session.scalar(under_way)

        self._wait(ended, "the last refund")

    def _settle(self) -> None:
        """Wait until the workers have nothing left that is due."""

        def idle() -> bool:
            due = select(func.count()).where(
                OutboxItem.status == OutboxStatus.READY,
                OutboxItem.kind != "message",
                OutboxItem.next_at <= self._here.clock(),
            )
            with self._site.house.web.reading() as session:
                return not session.scalar(due)

        self._wait(idle, "the workers")

    def _wait(self, probe: Callable[[], bool], what: str) -> None:
        until(probe, what, PATIENCE_S)

    @staticmethod
    def _tried(do: Callable[[], T]) -> T:
        """Do it again while the workers were faster."""
        for _ in range(TRIES):
            with suppress(Conflict):
                return do()
        return do()

    def _count(self, what: str) -> None:
        with self._diary.lock:
            self._made[what] = self._made.get(what, 0) + 1


def lines_of(outcome: Outcome, number: int) -> list[str]:
    """What happened, what was rebuilt, what is open, then the figures."""
    report, verdict = outcome.report, outcome.verdict
    made = ", ".join(f"{what} {many}" for what, many in sorted(outcome.made.items()))
    rebuilt = ", ".join(
        f"{what} {many} ({report.fen[what]} fen)" for what, many in sorted(report.rows.items())
    )
    return [
        f"seed {number}: {made}",
        f"restored in {outcome.restore_s:.1f} s, recovered in {outcome.recover_s:.1f} s",
        f"recover: {rebuilt or 'nothing to do'}; payouts held {report.payouts_held}",
        *(f"unexplained: {one.what} {one.number} {one.amount_fen} fen" for one in report.unexplained),
        *(f"open item: {item}" for item in verdict.open_items),
        *(f"difference: {detail}" for detail in verdict.details),
        *(f"finding: {finding}" for finding in report.findings),
        "",
        f"unexplained: {len(report.unexplained)}",
        f"changed_by_second_run: {outcome.again.changed}",
        f"lost_fen: {verdict.lost_fen}",
        f"doubled_fen: {verdict.doubled_fen}",
    ]


if __name__ == "__main__":
    sys.exit(main())
