"""Any order of payments, notices, queries, troubles, crashes and clock jumps: no fen is lost or doubled.

`CAMPUSNET_STEPS` sets how many steps are made by all parts together (default 1,000, CI 20,000). Each part has
a seed of its own, shown at the end of a run; `CAMPUSNET_SEED` repeats it in one part and looks for the
shortest way to its failure, which takes minutes.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.errors import Refused, Unavailable, Unknown
from models.values.actor import Actor
from payments import orders
from payments.refunds import approval as refunds
from payments.wechatpay import crypto
from sandbox.credentials import Credentials
from sandbox.pay import keys, refunds_api
from sandbox.pay.errors import PayError
from sandbox.pay.orders import Unpayable
from sandbox.pay.refunds import Refund as RefundAtWechat
from tests.models_of_money.memory import memory_folder
from tests.models_of_money.money_world import MoneyWorld
from tests.models_of_money.other_rules import NUMBER, PLACE, PLACES_MAX, OtherRules
from tests.models_of_money.promises import Facts, check_end, check_promises, facts_of
from tests.models_of_money.world import make_template

STEPS = int(os.environ.get("CAMPUSNET_STEPS", "1000"))
SEED = os.environ.get("CAMPUSNET_SEED")
# Side by side where there are processes for them.
PARTS = 1 if SEED else 4
STEPS_EACH = 120
# Few at a time, for Hypothesis makes more of them than it is asked for.
EXAMPLES_EACH = 10
FORGED = ("unsigned", "wrong_key", "stale_timestamp", "signtest")
CONTRADICTING = ("tamper_amount", "tamper_openid", "tamper_mchid", "tamper_appid")
CALL_FAULTS = (
    "timeout",
    "reset",
    "effect_then_timeout",
    "error_500",
    "error_500_after",
    "rate_429",
    *FORGED[:3],
)
REFUND_FAULTS = (*CALL_FAULTS, "not_enough", "account_abnormal", "answer_202", "rate_429_after")
PLACES = ("pay.prepay", "pay.query", "pay.close")
BILLING_FAULTS = (
    ("before", Unknown("no answer")),
    ("after", Unknown("no answer")),
    ("before", Unavailable("not reachable")),
    ("before", Refused("暂停入账")),
)
JUMPS_S = (1.0, 11.0, 31.0, 61.0, 400.0, 1801.0, 7300.0, 90_000.0)

_numbers = itertools.count(1)


class Stage:
    """What every example shares: keys, an empty database to copy, a folder, the patches."""

    template: Path
    folder: Path
    credentials: Credentials
    steps: int


class MoneyMachine(OtherRules):
    """The rules are what payers, platform, network, machines and time may do."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        database = Stage.folder / f"{next(_numbers)}.db"
        self.world = MoneyWorld(Stage.template, database, Stage.credentials, self.patch)

    @initialize(told=st.integers(0, 3))
    def a_day_has_begun(self, told: int) -> None:
        """Three payments, so that no run is about nothing; some were told of and credited."""
        for person, amount_fen in ((0, 100), (0, 500), (1, 500)):
            order_no = self.world.start(person, person, amount_fen)
            assert order_no is not None
            self.world.prepare(order_no)
            self.world.pay(order_no)
        for trade in self.world.paid_trades()[:told]:
            assert self.world.tell(trade) == 204
        self.world.turn(told)

    @rule(person=st.integers(0, 1), account=st.integers(0, 1), amount=st.sampled_from((100, 500)))
    def a_payer_orders(self, person: int, account: int, amount: int) -> None:
        order_no = self.world.start(person, account, amount)
        if order_no is not None:
            self.world.prepare(order_no)

    @precondition(lambda self: self.world.order_nos)
    @rule(which=NUMBER)
    def the_pay_button_is_tapped_again(self, which: int) -> None:
        self.world.prepare(self.order(which))

    @precondition(lambda self: self.world.order_nos)
    @rule(which=NUMBER)
    def a_payer_pays(self, which: int) -> None:
        with suppress(Unpayable, PayError):
            self.world.pay(self.order(which))

    @precondition(lambda self: self.world.order_nos)
    @rule(which=NUMBER)
    def a_payment_under_way_arrives_whatever_we_closed(self, which: int) -> None:
        with suppress(Unpayable, PayError):
            self.world.pay(self.order(which), force=True)

    @rule(person=st.integers(0, 1))
    def two_attempts_of_one_order_are_both_paid(self, person: int) -> None:
        self.world.paid_twice(person, 700)

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, times=st.integers(1, 3))
    def a_notice_arrives(self, which: int, times: int) -> None:
        trades = self.world.paid_trades()
        for _ in range(times):
            assert self.world.tell(trades[which % len(trades)]) == 204

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, place=st.integers(0, PLACES_MAX))
    def the_process_dies_during_a_notice(self, which: int, place: int) -> None:
        trades = self.world.paid_trades()
        self.world.points.arm(place)
        assert self.world.tell(trades[which % len(trades)]) in {0, 204}

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, how=st.sampled_from(FORGED))
    def a_forged_notice_changes_nothing(self, which: int, how: str) -> None:
        trades, before = self.world.paid_trades(), self.facts()
        assert self.world.tell(trades[which % len(trades)], how) == 403
        assert self.facts() == before

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, how=st.sampled_from(CONTRADICTING))
    def a_signed_notice_that_contradicts_the_order_records_nothing(self, which: int, how: str) -> None:
        trades, before = self.world.paid_trades(), self.facts()
        assert self.world.tell(trades[which % len(trades)], how) == 204
        assert self.facts() == before

    @precondition(lambda self: self.world.order_nos)
    @rule(which=NUMBER, place=PLACE)
    def a_payer_asks_where_the_money_is(self, which: int, place: int | None) -> None:
        order_no = self.order(which)
        openid = self.world.payer(order_no)
        self.world.points.arm(place)
        self.world.run(lambda: orders.check_now(self.world.services, order_no=order_no, openid=openid))

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, part=st.sampled_from((100, 100, 500, 700)), who=st.sampled_from(("anna", "bert")))
    def somebody_asks_for_a_refund(self, which: int, part: int, who: str) -> None:
        trades = self.world.paid_trades()
        number = trades[which % len(trades)].request.out_trade_no
        wanted = partial(
            refunds.request,
            self.world.services,
            order_no=self.world.order_of(number),
            amount_fen=part,
            reason="充错账号",
            actor=Actor.from_name("anna"),
            out_trade_no=number,
        )
        refund = self.world.run(wanted)
        if refund is not None and who == "bert":
            self.decide(refunds.approve, refund.out_refund_no, who)

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, part=st.sampled_from((100, 500)), status=st.sampled_from(("SUCCESS", "CLOSED")))
    def a_payment_is_told_of_and_refunded(self, which: int, part: int, status: str) -> None:
        """A whole story in one step, so that what follows it is met often."""
        trades = self.world.paid_trades()
        assert self.world.tell(trades[which % len(trades)]) == 204
        self.world.turn(2)
        self.somebody_asks_for_a_refund(which, part, "bert")
        self.world.turn(2)
        if self.world.platform.refunds.all():
            refunds_api.end(self.world.platform, self.refund(-1), status, tell=False)

    @rule(which=NUMBER, who=st.sampled_from(("anna", "bert")), reject=st.booleans())
    def somebody_decides_about_a_refund(self, which: int, who: str, reject: bool) -> None:  # noqa: FBT001 - drawn
        asked = [refund for refund, _ in refunds.newest(self.world.services, waiting=True)]
        if asked:
            decision = refunds.reject if reject else refunds.approve
            self.decide(decision, asked[which % len(asked)].out_refund_no, who)

    def decide(self, decision: Callable[..., object], number: str, who: str) -> None:
        actor = Actor.from_name(who)
        self.world.run(lambda: decision(self.world.services, out_refund_no=number, actor=actor))

    @precondition(lambda self: self.world.platform.refunds.all())
    @rule(which=NUMBER, status=st.sampled_from(("SUCCESS", "SUCCESS", "ABNORMAL", "CLOSED")))
    def the_platform_ends_a_refund(self, which: int, status: str) -> None:
        refunds_api.end(self.world.platform, self.refund(which), status, tell=False)

    @precondition(lambda self: self.world.platform.refunds.all())
    @rule(which=NUMBER, place=PLACE)
    def a_refund_notice_arrives(self, which: int, place: int | None) -> None:
        refund = self.refund(which)
        if refund.status != "PROCESSING":
            self.world.points.arm(place)
            assert self.world.tell_refund(refund.request.out_refund_no) in {0, 204}
            self.world.points.arm(None)

    @precondition(lambda self: self.world.paid_trades())
    @rule(which=NUMBER, part=st.sampled_from((100, 500)))
    def somebody_refunds_in_the_console(self, which: int, part: int) -> None:
        trades = self.world.paid_trades()
        trade = trades[which % len(trades)].request.out_trade_no
        if trade.endswith("01"):
            with suppress(PayError):
                self.world.console(trade[:-2], part)

    @rule(name=st.sampled_from(REFUND_FAULTS))
    def the_next_refund_call_goes_wrong(self, name: str) -> None:
        self.world.counterpart.fault(name, "pay.refund")

    @rule(name=st.sampled_from(CALL_FAULTS))
    def the_next_refund_query_goes_wrong(self, name: str) -> None:
        self.world.counterpart.fault(name, "pay.refund_query")

    @rule()
    def the_student_spends_everything(self) -> None:
        """What billing then has to refuse is a reversal."""
        self.world.spend()

    @precondition(lambda self: self.world.order_nos)
    @rule(which=NUMBER, place=PLACE)
    def a_payer_gives_up(self, which: int, place: int | None) -> None:
        order_no = self.order(which)
        openid = self.world.payer(order_no)
        self.world.points.arm(place)
        self.world.run(lambda: orders.cancel(self.world.services, order_no=order_no, openid=openid))

    @rule(rounds=st.integers(1, 3))
    def workers_work(self, rounds: int) -> None:
        self.world.turn(rounds)

    @rule(place=st.integers(0, 30))
    def a_worker_dies(self, place: int) -> None:
        self.world.points.arm(place)
        self.world.turn()

    @rule()
    def periodic_jobs_run(self) -> None:
        self.world.keep_house()

    @rule(seconds=st.sampled_from(JUMPS_S))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(name=st.sampled_from(CALL_FAULTS), place=st.sampled_from(PLACES))
    def the_next_call_goes_wrong(self, name: str, place: str) -> None:
        self.world.counterpart.fault(name, place)

    @rule(name=st.sampled_from(("query_notpay_first", *CONTRADICTING)))
    def the_next_query_is_answered_with_a_lie(self, name: str) -> None:
        self.world.counterpart.fault(name, "pay.query")

    @rule()
    def the_next_notice_overtakes_the_prepay_answer(self) -> None:
        self.world.counterpart.fault("before_answer", "pay.prepay")
        self.world.counterpart.fault("before_answer", "pay.notify")

    @rule(calls=st.integers(1, 3))
    def the_line_is_down(self, calls: int) -> None:
        self.world.counterpart.line_down = calls

    @rule(fault=st.sampled_from(BILLING_FAULTS))
    def billing_will_have_trouble(self, fault: tuple[str, Exception]) -> None:
        self.world.billing.faults.append(fault)

    @invariant()
    def the_promises_hold(self) -> None:
        Stage.steps += 1
        check_promises(self.world)

    def teardown(self) -> None:
        """Let the dust settle: every payment is then known, and credited, refunded or before a person."""
        try:
            check_end(self.world)
        finally:
            self.world.close()
            self.patch.undo()

    def order(self, which: int) -> str:
        return self.world.order_nos[which % len(self.world.order_nos)]

    def facts(self) -> Facts:
        with self.world.database.reading() as session:
            return facts_of(session)

    def refund(self, which: int) -> RefundAtWechat:
        known = self.world.platform.refunds.all()
        return known[which % len(known)]


@pytest.fixture
def _stage(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The same keys for every example: reading one costs as much as ten steps.
    monkeypatch.setattr(crypto, "load_private_key", cache(crypto.load_private_key))
    monkeypatch.setattr(keys, "_private", cache(keys._private))
    with memory_folder() as folder:
        Stage.folder = folder
        Stage.template = make_template(folder)
        Stage.credentials = credentials
        Stage.steps = 0
        yield


@pytest.mark.long
@pytest.mark.usefixtures("_stage")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_interleaving_loses_or_doubles_a_fen(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    del part
    wanted = -(-STEPS // PARTS)
    number = int(SEED or random.SystemRandom().randrange(2**32))
    record_property("CAMPUSNET_SEED", number)
    options = settings(
        max_examples=EXAMPLES_EACH,
        stateful_step_count=STEPS_EACH,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if SEED else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    while Stage.steps < wanted:
        run_state_machine_as_test(seed(number)(MoneyMachine), settings=options)
        number += 1
    record_property("steps", Stage.steps)
