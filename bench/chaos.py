"""`python -m bench.chaos`: payments while every process of ours is killed again and again.

Separate processes: two web and their master, two workers, PostgreSQL, Redis and the simulated WeChat with
its faults on; all of them are killed. The simulated WeChat knows its payments when it is back, as the real
one would, but not what it was about to tell us. Its signed queries tell the truth; one that lies is left to
a person by design, and no payment of this run may need one.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from app import wiring
from bench.chaos_books import Books, compare, unsettled
from bench.chaos_campus import Platform, campus
from bench.chaos_parts import Parts, until
from models.errors import IllegalTransition, ServiceError
from models.order import find_order
from models.refund import Refund, RefundStatus, refunds_of
from models.values.actor import Actor
from payments import numbers, orders
from payments.refunds import approval as refunds

PAYERS = 4
PATIENCE_S = 900.0
RETRY_S = 0.2
# One payment in so many goes back.
REFUND_EACH = 33


@dataclass(frozen=True)
class Plan:
    """How much, and from which seed."""

    payments: int
    kills: int
    seed: int


@dataclass
class Story:
    """What happened besides the books."""

    kills: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    paying_s: float = 0.0
    settling_s: float = 0.0


def main() -> int:
    """Run as asked; the last lines are `name: value`. Returns: 0 when nothing is lost, doubled or stuck."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    # Whoever stops us gets a clean machine back: the exit unwinds what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    books, story = run(Plan(given.payments, given.kills, given.seed))
    print("\n".join(report(books, story, given.seed)))
    return 0 if not (books.lost_fen or books.credited_twice or books.stuck or books.findings) else 1


def run(plan: Plan) -> tuple[Books, Story]:
    """Start everything, pay and kill, let it settle, compare. Raises: TimeoutError - it never settled."""
    with campus() as (house, platform, parts):
        story = Story()
        chance = random.Random(plan.seed)
        began = time.monotonic()
        Payers(plan, house, platform, Killer(plan, parts, chance, story), story).run()
        story.paying_s = time.monotonic() - began
        platform.call("DELETE", "/sim/faults")
        settle(house, len(platform.paid()))
        story.settling_s = time.monotonic() - began - story.paying_s
        with house.database.reading() as session:
            return compare(session, platform.paid(), platform.refunded()), story


class Killer:
    """Kills the parts in shuffled rounds, spread evenly over the payments."""

    def __init__(self, plan: Plan, parts: Parts, chance: random.Random, story: Story) -> None:
        step = plan.payments / (plan.kills + 1)
        self._at = Counter(int(step * (index + 1)) for index in range(plan.kills))
        self._parts = parts
        self._chance = chance
        self._story = story
        self._round: list[str] = []
        self._one_at_a_time = threading.Lock()

    def reached(self, number: int) -> None:
        """A payment begins: kill something if it is time."""
        with self._one_at_a_time:
            for _ in range(self._at.pop(number, 0)):
                if not self._round:
                    self._round = self._chance.sample(sorted(self._parts.kinds), k=len(self._parts.kinds))
                kind = self._round.pop()
                self._parts.kinds[kind]()
                self._story.kills[kind] += 1


@dataclass
class Wish:
    """One payment to be made; `order_no` once it is ordered."""

    openid: str
    account_no: str
    amount_fen: int
    order_no: str = ""


class Payers:
    """People who pay until every payment is made, whatever is down in the meantime."""

    def __init__(
        self, plan: Plan, house: wiring.House, platform: Platform, killer: Killer, story: Story
    ) -> None:
        self._plan = plan
        self._house = house
        self._platform = platform
        self._killer = killer
        self._story = story
        self._people = [(student["openid"], student["account_no"]) for student in platform.students()]

    def run(self) -> None:
        """Return when all have paid."""
        with ThreadPoolExecutor(max_workers=PAYERS) as pool:
            for done in pool.map(self._pay, range(self._plan.payments)):
                del done

    def _pay(self, number: int) -> None:
        self._killer.reached(number)
        openid, account_no = self._people[number % len(self._people)]
        # A wish of its own for each payment: the same person never wants the same amount twice.
        amount_fen = 100 * (1 + number // len(self._people))
        deadline = time.monotonic() + PATIENCE_S
        wish = Wish(openid, account_no, amount_fen)
        steps = [self._pay_once, self._refund_once] if number % REFUND_EACH == 0 else [self._pay_once]
        for step in steps:
            while not self._done(step, wish):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"payment {number} could not be made or refunded")
                time.sleep(RETRY_S)

    def _done(self, step: Callable[[Wish], None], wish: Wish) -> bool:
        """Go on where the last try ended. Returns: whether the step is done."""
        try:
            step(wish)
        except (ServiceError, SQLAlchemyError, OSError) as error:
            self._story.repeats[type(error).__name__] += 1
            return False
        return True

    def _pay_once(self, wish: Wish) -> None:
        """Order, ask for the parameters, pay."""
        if not wish.order_no:
            wish.order_no = self._order(wish)
        with suppress(IllegalTransition):  # paid before the answer to prepay came
            orders.pay_params(self._house.web, order_no=wish.order_no, openid=wish.openid)
        self._platform.pay(numbers.out_trade_no(wish.order_no, 1))

    def _refund_once(self, wish: Wish) -> None:
        """All of it back. Raises: IllegalTransition - we do not know of the payment yet."""
        web = self._house.web
        with web.reading() as session:
            order = find_order(session, wish.order_no)
            known = refunds_of(session, order.id) if order is not None else []
        # The answer to an earlier try may have been lost after its commit.
        refund = known[0] if known else self._ask_for_refund(wish)
        if refund.status == RefundStatus.REQUESTED:
            refunds.approve(web, out_refund_no=refund.out_refund_no, actor=Actor.from_name("bert"))

    def _ask_for_refund(self, wish: Wish) -> Refund:
        return refunds.request(
            self._house.web,
            order_no=wish.order_no,
            amount_fen=wish.amount_fen,
            reason="充错账号",
            actor=Actor.from_name("anna"),
        )

    def _order(self, wish: Wish) -> str:
        view = orders.start_recharge(
            self._house.web, openid=wish.openid, account_no=wish.account_no, amount_fen=wish.amount_fen
        )
        return view.order_no


def settle(house: wiring.House, payments: int) -> None:
    """Wait until nothing moves any more. Raises: TimeoutError."""

    def settled() -> bool:
        with house.database.reading() as session:
            return not unsettled(session, payments)

    try:
        until(settled, "the last credit", PATIENCE_S)
    except TimeoutError:
        # The comparison tells what is stuck, which says more.
        return


def report(books: Books, story: Story, seed: int) -> list[str]:
    """The ledger of what happened, then the figures."""
    lines = [
        f"seed {seed}: {story.paying_s:.0f} s of payments, {story.settling_s:.0f} s until all was settled"
    ]
    told = {"killed": dict(story.kills), "payers tried again after": dict(story.repeats), **books.counts}
    for name, counts in told.items():
        lines.append(f"{name}: {', '.join(f'{what} {many}' for what, many in sorted(counts.items())) or '-'}")
    sums = books.sums
    lines += [
        f"fen paid {sums.paid_fen}, the platform says {books.paid_fen}",
        f"fen refunded {sums.refunded_fen}, the platform says {books.refunded_fen}",
        f"fen credited {sums.credited_fen}, in flight {sums.in_flight_fen}, with a person {sums.review_fen}",
        *(f"finding: {finding}" for finding in books.findings),
        "",
        f"payments: {books.payments}",
        f"kills: {sum(story.kills.values())}",
        f"lost_fen: {books.lost_fen}",
        f"credited_twice: {books.credited_twice}",
        f"stuck: {books.stuck}",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
