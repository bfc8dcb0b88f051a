"""Any order of late answers: no fen is lost or doubled, or an open item names it and its action repairs it.

Two workers, of which one may be paused at any place where it holds no transaction; calls to billing that
are done, refused, not reachable, unanswered with and without effect, or delayed; refunds, payouts, purchases
and closed accounts in between. `CAMPUSNET_SEED` repeats a run, `CAMPUSNET_LATE` sets how many examples the
long version makes (default 40).
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from billing.embedded.ledger import CLEARING, book_sum, wrong_balances
from billing.embedded.withdrawal import OWED
from billing.interface import MoneyCall
from models.errors import Refused, ServiceError, Unavailable, Unknown
from models.order import Credit, CreditStatus, Order, OrderStatus
from models.payout import PartStatus, PayoutPart
from models.review import ReviewItem, ReviewKind
from payments.audit.invariants import check, conservation
from payments.counter import returns as counter_returns
from payments.payouts import approval as payouts
from payments.payouts.books import TAKEN
from payments.refunds import approval as refunds
from payments.review import queue as reviews
from payments.review.actions import ACTIONS, late
from sandbox.credentials import Credentials
from sandbox.pay import refunds_api
from tests.models_of_money.memory import memory_folder
from tests.models_of_money.money_world import EVIDENCE, PACKAGE
from tests.models_of_money.world import LONG_S, make_template
from tests.payments.late_world import LateWorld
from tests.payments.payouts.payout_world import ACCOUNT
from tests.payments.refunds.refund_world import ANNA, BERT
from tests.vendor_billing import WINDOW_S, VendorBilling

SEED = os.environ.get("CAMPUSNET_SEED")
EXAMPLES_LONG = int(os.environ.get("CAMPUSNET_LATE", "40"))
EXAMPLES_SHORT = 6
STEPS = 25
# What a backend can do about calls that arrive late.
ABILITIES: dict[str, dict[str, Any]] = {
    "closes keys": {"close_key": True, "confirmation_window_s": None},
    "has a window": {},
    "has a window and prepares": {"prepare": True},
    "cannot be queried": dict.fromkeys(
        ("find_credit", "find_reversal", "find_withdrawal", "find_exchange"), False
    ),
}
FAULTS = (
    ("before", Unknown("no answer")),
    ("after", Unknown("no answer")),
    ("before", Unavailable("not reachable")),
    ("before", Refused("暂停办理")),
)
CALLS = ("credit", "reverse", "withdraw", "exchange")
WAITS_S = (5.0, 31.0, WINDOW_S + 31.0, 700.0)
STORY = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from(WAITS_S)),
        st.tuples(st.sampled_from(("work", "spend", "cash", "refund", "payout", "close", "open")), st.none()),
        st.tuples(st.just("fault"), st.tuples(st.sampled_from(CALLS), st.sampled_from(FAULTS))),
    ),
    max_size=8,
)
_numbers = itertools.count(1)


class Stage:
    """What every example shares."""

    template: Path
    folder: Path
    credentials: Credentials


class LateAnswers(RuleBasedStateMachine):
    """The rules are what payers, operators, workers, time and billing may do."""

    vendor: VendorBilling

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        database = Stage.folder / f"late{next(_numbers)}.db"
        self.world = LateWorld(Stage.template, database, Stage.credentials, self.patch)
        self.receipts = itertools.count(1)
        self.pause: tuple[int, Callable[[], None]] | None = None
        self._watch_places()

    @initialize(name=st.sampled_from(sorted(ABILITIES)))
    def billing_is(self, name: str) -> None:
        self.vendor = self.world.use_vendor(**ABILITIES[name])

    @rule(package=st.booleans())
    def a_payer_pays(self, package: bool) -> None:  # noqa: FBT001 - drawn
        order_no = self.world.start(0, 0, 500, PACKAGE if package else None)
        if order_no is not None and self.world.prepare(order_no) is not None:
            with suppress(ServiceError):
                self.world.pay(order_no)
                self.world.tell(self.world.platform.book.get(f"{order_no}01"))

    @rule(story=STORY)
    def things_happen(self, story: list[tuple[str, object]]) -> None:
        self.tell_story(story)

    @rule(place=st.integers(0, 14), story=STORY)
    def a_worker_is_paused(self, place: int, story: list[tuple[str, object]]) -> None:
        """Whatever happens meanwhile, it then goes on from where it stopped."""
        self.pause = (place, lambda: self.tell_story(story))
        self.world.turn()
        self.pause = None

    @rule(kind=st.sampled_from(sorted(MoneyCall)))
    def the_next_call_is_delayed(self, kind: MoneyCall) -> None:
        self.vendor.hold(kind, Unknown("still on its way"))
        self.world.turn()

    @rule(seconds=st.sampled_from((0.0, 20.0, WINDOW_S + 40.0)))
    def what_was_delayed_arrives(self, seconds: float) -> None:
        """Within the time that the backend promises: afterwards it is lost, or its key is closed."""
        self.world.clock.advance(seconds)
        self.vendor.arrive()

    @rule(which=st.integers(0, 9), choice=st.integers(0, 9))
    def operators_decide(self, which: int, choice: int) -> None:
        items = [item for item in self.world.open_items() if actions_for(item)]
        if items:
            self.decide(items[which % len(items)], choice)

    @invariant()
    def the_books_are_right(self) -> None:
        with self.world.database.reading() as session:
            assert wrong_balances(session) == []
            assert check(session) == []

    def teardown(self) -> None:
        """At rest nothing is under way, and what is in review stands in an open item."""
        try:
            self.rest()
        finally:
            self.world.close()
            self.patch.undo()

    def rest(self) -> None:
        self.vendor.arrive()
        self.vendor._held.clear()
        self.world.set_account(active=True)
        for _ in range(6):
            self.settle()
            for item in self.world.open_items():
                if actions_for(item):
                    self.decide(item, 0)
        self.settle()
        with self.world.database.reading() as session:
            assert check(session) == []
            sums = conservation(session)
            assert (sums.missing_fen, sums.in_flight_fen) == (0, 0)
            late_fen = fen_of(session, Credit, (CreditStatus.LATE, CreditStatus.OWED))
            returned_fen = fen_of(session, PayoutPart, (PartStatus.RETURNED,))
            assert -book_sum(session, CLEARING) == sums.credited_fen + late_fen + returned_fen
            assert book_sum(session, OWED) == fen_of(session, PayoutPart, TAKEN)
        unresolved = [item.kind for item in self.world.open_items() if actions_for(item)]
        assert unresolved == []
        assert sums.review_fen == 0 or self.world.open_items() != []

    def settle(self) -> None:
        """Let everything end that ends by itself."""
        self.world.calm()
        for refund in self.world.platform.refunds.all():
            refunds_api.end(self.world.platform, refund, "SUCCESS", tell=False)
        services = self.world.services
        for owed in counter_returns.open_items(services):
            counter_returns.give_back(services, return_no=owed.return_no, clerk=BERT, evidence="签收单 1")
        self.world.clock.advance(LONG_S)
        self.world.calm()

    def decide(self, item: ReviewItem, choice: int) -> None:
        """Two operators choose an action; those about unanswered calls look in billing first."""
        names = actions_for(item)
        name = self.answer(item) if "call-arrived" in names else names[choice % len(names)]
        if item.kind == ReviewKind.CREDIT_UNKNOWN:
            name = "credit-arrived" if self.in_billing(MoneyCall.CREDIT, item.key) else "credit-again"
        with suppress(ServiceError):
            reviews.propose(self.world.services, item.id, action=name, actor=ANNA, evidence=EVIDENCE)
            reviews.approve(self.world.services, item.id, actor=BERT)

    def answer(self, item: ReviewItem) -> str:
        kinds = {
            ReviewKind.REVERSAL_UNKNOWN: (MoneyCall.REVERSAL, f"v{item.key}"),
            ReviewKind.WITHDRAWAL_UNKNOWN: (MoneyCall.WITHDRAWAL, item.key),
            ReviewKind.PURCHASE_UNKNOWN: (MoneyCall.EXCHANGE, f"x{item.key}"),
        }
        if item.kind in kinds:
            return "call-arrived" if self.in_billing(*kinds[ReviewKind(item.kind)]) else "call-absent"
        name, _, number = item.key.partition(":")
        kind, table, column = (
            (MoneyCall.REVERSAL, Credit.undo_key, Credit.credit_no)
            if name == "credit"
            else (MoneyCall.CREDIT, PayoutPart.undo_key, PayoutPart.part_no)
        )
        with self.world.database.reading() as session:
            key = session.scalars(select(table).where(column == number)).one()
        return "call-arrived" if self.in_billing(kind, str(key)) else "call-absent"

    def in_billing(self, kind: MoneyCall, key: str) -> bool:
        """What the operators see there, once nothing is on its way any more."""
        self.vendor.arrive()
        find = {
            MoneyCall.CREDIT: self.vendor.find_credit,
            MoneyCall.REVERSAL: self.vendor.find_reversal,
            MoneyCall.WITHDRAWAL: self.vendor.find_withdrawal,
            MoneyCall.EXCHANGE: self.vendor.find_exchange,
        }[kind]
        return find(ACCOUNT, key) is not None

    def tell_story(self, story: list[tuple[str, object]]) -> None:
        for name, argument in story:
            note(f"  {name} {argument}")
            self.happens(name, argument)

    def happens(self, name: str, argument: object) -> None:
        match name, argument:
            case "wait", float(seconds):
                self.world.clock.advance(seconds)
            case "work", _:
                self.world.turn(2)
            case "spend", _:
                self.world.spend()
            case "cash", _:
                self.world.run(lambda: self.world.take(500, f"R{next(self.receipts):04d}"))
            case "refund", _:
                self.refund()
            case "payout", _:
                self.payout()
            case (("close" | "open"), _):
                self.world.set_account(active=name == "open")
            case "fault", (str(call), (str(when), Exception() as error)):
                self.world.billing.faults_of.setdefault(call, []).append((when, error))

    def refund(self) -> None:
        """The newest order goes back."""
        query = select(Order.order_no).where(Order.status == OrderStatus.PAID).order_by(Order.id.desc())
        with self.world.database.reading() as session:
            order_no = session.scalar(query.limit(1))
        if order_no is None:
            return
        services = self.world.services
        with suppress(ServiceError):
            asked = refunds.request(
                services, order_no=order_no, amount_fen=500, reason="充错账号", actor=ANNA
            )
            refunds.approve(services, out_refund_no=asked.out_refund_no, actor=BERT)

    def payout(self) -> None:
        """The student leaves; what is not approved is withdrawn again."""
        services = self.world.services
        with suppress(ServiceError):
            asked = self.world.requested()
            with suppress(ServiceError):
                payouts.approve(services, payout_no=asked.payout_no, actor=BERT)
                return
            payouts.reject(services, payout_no=asked.payout_no, actor=BERT)

    def _watch_places(self) -> None:
        here = self.world.points.here

        def watched(name: str) -> None:
            here(name)
            # In an open transaction a paused process holds its locks, and nobody else gets on.
            if self.pause is None or name == "before commit":
                return
            left, story = self.pause
            self.pause = None if left == 0 else (left - 1, story)
            if left == 0:
                story()

        self.world.points.here = watched  # type: ignore[method-assign]  # one object, for one test


def actions_for(item: ReviewItem) -> list[str]:
    """The actions about late and unanswered calls that fit this item."""
    of_credits = {"credit-again", "credit-arrived"}
    return [
        name for name in ACTIONS if item.kind in ACTIONS[name].kinds and name in {*late.ACTIONS, *of_credits}
    ]


def fen_of(session: object, table: type[Credit | PayoutPart], states: tuple[str, ...]) -> int:
    """The sum of rows in these states."""
    query = select(func.sum(table.amount_fen)).where(table.status.in_(states))
    return int(session.scalar(query) or 0)  # type: ignore[attr-defined]


@pytest.fixture
def _stage(credentials: Credentials) -> Iterator[None]:
    with memory_folder() as folder:
        Stage.folder, Stage.template, Stage.credentials = folder, make_template(folder), credentials
        yield


def run(examples: int, record_property: Callable[[str, object], None]) -> None:
    number = int(SEED or random.SystemRandom().randrange(2**32))
    record_property("CAMPUSNET_SEED", number)
    options = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if SEED else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(LateAnswers), settings=options)


@pytest.mark.usefixtures("_stage")
def test_no_late_answer_loses_or_doubles_a_fen(record_property: Callable[[str, object], None]) -> None:
    run(EXAMPLES_SHORT, record_property)


@pytest.mark.long
@pytest.mark.usefixtures("_stage")
def test_no_order_of_late_answers_loses_or_doubles_a_fen(
    record_property: Callable[[str, object], None],
) -> None:
    run(EXAMPLES_LONG, record_property)
