"""Reversals, withdrawals and purchases are compared with billing, and what differs is repaired."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from billing.embedded import ledger
from billing.interface import MoneyCall
from models.clock import campus_date
from models.db.state import StateEvent
from models.errors import IllegalTransition, Unknown
from models.ledger import Account, Entry, Posting
from models.order import Credit, CreditStatus
from models.package import Purchase, TrafficLot
from models.payout import PartStatus, PayoutPart
from models.refund import Refund, RefundStatus, ReversalStatus
from models.review import ReviewItem, ReviewKind, ReviewStatus
from models.statement import Difference, ReconRun
from models.swap import SwapIntent, SwapStatus
from payments.reconcile import daily
from payments.reconcile.result import Action, Kind
from payments.reconcile.runs import summary_of
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.models_of_money.money_world import EVIDENCE
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.late_world import LateWorld
from tests.payments.refunds.refund_world import ANNA, BERT

DAY_S = 86_400.0
ACCOUNT = ACCOUNTS[0]


class MovedWorld(LateWorld):
    """A day with a refunded credit, a payout by bank list and a bought package."""

    def everything(self) -> None:
        self.cash(2000)
        order_no = self.paid(credited=True)
        self.refund_no = self.approved(order_no)
        self.work()
        self.ends(self.refund_no)
        self.package_order = self.paid_with_package()
        self.work()
        self.payout = self.agreed()
        self.work()
        self.paid(credited=True)
        self.on = campus_date(self.clock.now())
        self.clock.advance(2 * DAY_S)

    def reconcile(self, on: date | None = None) -> list[tuple[str, str, str]]:
        daily.run_daily(self.services, on or self.on)
        with self.database.reading() as session:
            query = (
                select(Difference)
                .join(ReconRun, ReconRun.id == Difference.run_id)
                .where(ReconRun.bill_on == (on or self.on))
                .order_by(Difference.id)
            )
            return [
                (one.kind, one.key, one.action)
                for one in session.scalars(query)
                if one.kind.startswith(("MOVEMENT", "CREDIT", "DOUBLE"))
            ]

    def key(self, call: MoneyCall) -> str:
        """The one movement of this kind, as `kind:key`."""
        with self.database.reading() as session:
            query = select(Entry.key).where(Entry.kind == call, Entry.key.like(f"{call}:%"))
            return max(session.scalars(query))

    def forget(self, whole_key: str) -> None:
        """Billing loses an entry, as after a restore of its own."""
        with self.database.transaction() as session:
            for name in ("ledger_posting", "ledger_entry", "purchase"):
                _drop_triggers(session, name)
            entry = session.scalars(select(Entry).where(Entry.key == whole_key)).one()
            legs = list(session.scalars(select(Posting).where(Posting.entry_id == entry.id)))
            for leg in legs:
                if leg.book.startswith("account:"):
                    account = session.get_one(Account, leg.book.removeprefix("account:"))
                    account.balance_fen -= leg.amount_fen
            session.execute(delete(Posting).where(Posting.entry_id == entry.id))
            bought = session.scalar(select(Purchase).where(Purchase.key == whole_key.partition(":")[2]))
            if bought is not None:
                session.execute(delete(Purchase).where(Purchase.id == bought.id))
                session.execute(delete(TrafficLot).where(TrafficLot.id == bought.lot_id))
            session.execute(delete(Entry).where(Entry.id == entry.id))

    def balance_of(self) -> int:
        with self.database.reading() as session:
            return session.get_one(Account, ACCOUNT).balance_fen

    def decide_difference(self, action: str) -> None:
        # WeChat's bill may differ as well.
        at_billing = ("MOVEMENT", "CREDIT", "DOUBLE")
        (item,) = [
            one
            for one in self.open_items()
            if one.kind == ReviewKind.BILL_DIFFERENCE and one.facts["difference"].startswith(at_billing)
        ]
        assert reviews.propose(self.services, item.id, action=action, actor=ANNA, evidence=EVIDENCE) is False
        with pytest.raises(reviews.SecondPersonNeeded):
            reviews.approve(self.services, item.id, actor=ANNA)
        reviews.approve(self.services, item.id, actor=BERT)
        reviews.approve(self.services, item.id, actor=BERT)
        self.later(1)


def _drop_triggers(session: object, table: str) -> None:
    query = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
    for name in session.scalars(query, {"table": table}).all():  # type: ignore[attr-defined]
        session.execute(text(f"DROP TRIGGER {name}"))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("movements"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MovedWorld]:
    made = MovedWorld(template, tmp_path / "moved.db", credentials, monkeypatch)
    made.everything()
    yield made
    made.close()


CALLS = [MoneyCall.REVERSAL, MoneyCall.WITHDRAWAL, MoneyCall.EXCHANGE]


def test_a_day_on_which_all_agree_has_no_difference(world: MovedWorld) -> None:
    assert world.reconcile() == []
    with world.database.reading() as session:
        run = summary_of(session, world.on)
    assert run is not None
    assert run.totals["moved"] == run.totals["billing_moved"]
    assert run.totals["moved"]["rows"] > len(CALLS) - 1


@pytest.mark.parametrize("call", CALLS)
def test_a_movement_that_billing_lost_is_found_and_repeated(world: MovedWorld, call: MoneyCall) -> None:
    before, key = world.balance_of(), world.key(call)
    world.forget(key)
    assert world.balance_of() > before
    assert world.reconcile() == [(Kind.MOVEMENT_MISSING, key, Action.ASKED)]
    world.decide_difference("repeat-call")
    assert (world.balance_of(), world.key(call)) == (before, key)
    assert world.reconcile() == []
    # The day on which it was repeated has it once more in billing's list, and knows why.
    repaired_on = campus_date(world.clock.now())
    world.clock.advance(2 * DAY_S)
    assert world.reconcile(repaired_on) == []


def test_a_credit_that_billing_lost_is_repeated(world: MovedWorld) -> None:
    with world.database.reading() as session:
        query = select(Credit).where(Credit.status == CreditStatus.CREDITED).order_by(Credit.id.desc())
        credit = session.scalars(query).first()
    assert credit is not None
    before = world.balance_of()
    world.forget(f"credit:{credit.credit_no}")
    found = world.reconcile()
    assert [(kind, key) for kind, key, _ in found] == [(Kind.CREDIT_MISSING, credit.credit_no)]
    world.decide_difference("repeat-call")
    assert world.balance_of() == before
    repaired_on = campus_date(world.clock.now())
    world.clock.advance(2 * DAY_S)
    assert world.reconcile(repaired_on) == []


def given_up(world: MovedWorld, call: MoneyCall) -> None:
    """Our books believe that the call never happened."""
    with world.database.transaction() as session:
        if call == MoneyCall.REVERSAL:
            session.execute(
                update(Refund).values(status=RefundStatus.CLOSED, reversal=ReversalStatus.PENDING, held=False)
            )
            session.execute(text("UPDATE allocation SET reversed_fen = 0, refund_fen = 0"))
        elif call == MoneyCall.WITHDRAWAL:
            session.execute(update(PayoutPart).values(status=PartStatus.REFUSED))
        else:
            session.execute(update(SwapIntent).values(status=SwapStatus.REFUSED))
        session.execute(delete(StateEvent).where(StateEvent.new.in_(("DONE", "WITHDRAWN"))))


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (MoneyCall.REVERSAL, ReviewKind.LATE_REVERSAL),
        (MoneyCall.WITHDRAWAL, ReviewKind.LATE_WITHDRAWAL),
        (MoneyCall.EXCHANGE, ReviewKind.LATE_PURCHASE),
    ],
)
def test_what_our_books_gave_up_and_billing_has_is_recorded_with_its_repair(
    world: MovedWorld, call: MoneyCall, kind: ReviewKind
) -> None:
    given_up(world, call)
    found = world.reconcile()
    assert (Kind.MOVEMENT_UNEXPECTED, world.key(call), Action.RECORDED) in found
    assert kind in [item.kind for item in world.open_items()]
    # Known from now on: nothing is asked twice.
    again = world.reconcile()
    assert (Kind.MOVEMENT_UNEXPECTED, world.key(call), Action.RECORDED) not in again


UNKNOWN_KEYS: dict[MoneyCall, Callable[[str], str]] = {
    MoneyCall.REVERSAL: lambda order_no: f"vf{order_no}01",
    MoneyCall.WITHDRAWAL: lambda order_no: f"p{order_no[1:]}-01",
    MoneyCall.CREDIT: lambda order_no: f"c{order_no}",
}


@pytest.mark.parametrize("call", UNKNOWN_KEYS)
def test_a_movement_under_a_number_we_never_gave_is_undone(world: MovedWorld, call: MoneyCall) -> None:
    key = UNKNOWN_KEYS[call](f"r20260310{'q' * 11}")
    inner = world.billing._inner
    world.clock.advance(-2 * DAY_S)
    inner.credit(ACCOUNT, 5000, key="other-system")
    before = world.balance_of()
    if call == MoneyCall.REVERSAL:
        inner.reverse(ACCOUNT, 300, key=key, credit_key="other-system")
    elif call == MoneyCall.WITHDRAWAL:
        inner.withdraw(ACCOUNT, 300, key=key)
    else:
        inner.credit(ACCOUNT, 300, key=key)
    world.clock.advance(2 * DAY_S)
    found = world.reconcile()
    expected = Kind.CREDIT_UNEXPECTED if call == MoneyCall.CREDIT else Kind.MOVEMENT_UNEXPECTED
    assert [kind for kind, _, _ in found] == [expected]
    world.decide_difference("undo-call")
    assert world.balance_of() == before
    undone_on = campus_date(world.clock.now())
    world.clock.advance(2 * DAY_S)
    assert world.reconcile(undone_on) == []
    # The difference of the first day stands, its question is answered.
    assert [item.kind for item in world.open_items() if item.kind == ReviewKind.BILL_DIFFERENCE] == []


def test_a_movement_of_another_system_is_nobody_elses_business(world: MovedWorld) -> None:
    world.clock.advance(-2 * DAY_S)
    inner = world.billing._inner
    inner.credit(ACCOUNT, 5000, key="other-system")
    inner.reverse(ACCOUNT, 300, key="other-reversal", credit_key="other-system")
    inner.withdraw(ACCOUNT, 300, key="other-withdrawal")
    world.clock.advance(2 * DAY_S)
    assert world.reconcile() == []


@pytest.mark.parametrize("call", [MoneyCall.REVERSAL, MoneyCall.WITHDRAWAL])
def test_another_amount_is_a_difference(world: MovedWorld, call: MoneyCall) -> None:
    key = world.key(call)
    with world.database.transaction() as session:
        table = Refund if call == MoneyCall.REVERSAL else PayoutPart
        session.execute(update(table).values(amount_fen=table.amount_fen - 1))
    assert (Kind.MOVEMENT_DIFFERS, key, Action.ASKED) in world.reconcile()


@pytest.mark.parametrize("off_fen", [-1, 1])
@pytest.mark.parametrize("call", [MoneyCall.REVERSAL, MoneyCall.WITHDRAWAL])
def test_another_amount_is_corrected_by_its_difference(
    world: MovedWorld, call: MoneyCall, off_fen: int
) -> None:
    """Billing took `off_fen` less than our books say."""
    world.on = campus_date(world.clock.now() - timedelta(days=2))
    before, key = world.balance_of(), world.key(call)
    with world.database.transaction() as session:
        table = Refund if call == MoneyCall.REVERSAL else PayoutPart
        number = key.partition(":")[2].removeprefix("v")
        column = Refund.out_refund_no if call == MoneyCall.REVERSAL else PayoutPart.part_no
        session.execute(update(table).where(column == number).values(amount_fen=table.amount_fen + off_fen))
    assert world.reconcile() == [(Kind.MOVEMENT_DIFFERS, key, Action.ASKED)]
    world.decide_difference("correct-call")
    assert world.balance_of() == before - off_fen
    corrected_on = campus_date(world.clock.now())
    world.clock.advance(2 * DAY_S)
    assert world.reconcile(corrected_on) == []


@pytest.mark.parametrize("off_fen", [-1, 1])
def test_a_credit_of_another_amount_is_corrected(world: MovedWorld, off_fen: int) -> None:
    before = world.balance_of()
    with world.database.transaction() as session:
        credit = session.scalars(
            select(Credit).where(Credit.status == CreditStatus.CREDITED).order_by(Credit.id.desc())
        ).first()
        assert credit is not None
        credit.amount_fen += off_fen
        number = credit.credit_no
    assert [(kind, key) for kind, key, _ in world.reconcile()] == [(Kind.CREDIT_DIFFERS, number)]
    world.decide_difference("correct-call")
    assert world.balance_of() == before + off_fen


def test_a_purchase_cannot_be_undone_at_billing(world: MovedWorld) -> None:
    with world.database.transaction() as session:
        session.execute(update(SwapIntent).values(price_fen=SwapIntent.price_fen + 1))
        session.execute(update(ReviewItem).values(status=ReviewStatus.CLOSED))
    world.reconcile()
    (item,) = [one for one in world.open_items() if one.kind == ReviewKind.BILL_DIFFERENCE]
    for action in ("undo-call", "repeat-call", "correct-call"):
        reviews.propose(world.services, item.id, action=action, actor=ANNA, evidence=EVIDENCE)
        with pytest.raises(IllegalTransition):
            reviews.approve(world.services, item.id, actor=BERT)
        reviews.reject(world.services, item.id, actor=ANNA)


def test_a_repair_that_gets_no_answer_is_queried_and_done_once(world: MovedWorld) -> None:
    before, key = world.balance_of(), world.key(MoneyCall.WITHDRAWAL)
    world.forget(key)
    world.reconcile()
    world.billing.faults_of = {"withdraw": [("after", Unknown("late")), ("after", Unknown("late"))]}
    world.decide_difference("repeat-call")
    world.later(800)
    assert world.balance_of() == before
    assert world.reconcile() == []


def test_a_repair_that_billing_refuses_asks_again(world: MovedWorld) -> None:
    world.forget(world.key(MoneyCall.WITHDRAWAL))
    world.reconcile()
    with world.database.transaction() as session:
        taken = session.get_one(Account, ACCOUNT).balance_fen
        legs = (ledger.Leg(ledger.book_of(ACCOUNT), -taken), ledger.Leg(ledger.CLEARING, taken))
        ledger.post(session, key="spent", kind="other", legs=legs, at=world.clock.now())
    world.decide_difference("repeat-call")
    (item,) = [one for one in world.open_items() if one.kind == ReviewKind.BILL_DIFFERENCE]
    assert item.facts["reason"].startswith("E-")
    assert item.amount_fen is not None
    world.billing._inner.credit(ACCOUNT, 100_000, key="topped-up")
    world.decide_difference("repeat-call")
    assert world.balance_of() == 100_000 - item.amount_fen
    assert world.reconcile() == []


@pytest.mark.parametrize("seconds", [-1, 1])
def test_what_billing_did_on_the_other_side_of_midnight_is_no_difference(
    world: MovedWorld, seconds: int
) -> None:
    """Our record of each is a moment later than billing's: the day may have changed in between."""
    shift = timedelta(days=seconds)
    with world.database.transaction() as session:
        for event in session.scalars(select(StateEvent).where(StateEvent.new.in_(("DONE", "WITHDRAWN")))):
            event.at += max(shift, timedelta(0))
        if seconds < 0:
            _drop_triggers(session, "ledger_entry")
            session.execute(
                update(Entry)
                .where(Entry.kind.in_(["reversal", "withdrawal", "exchange"]))
                .values(at=world.clock.now() - timedelta(days=3))
            )
    for on in (world.on - timedelta(days=1), world.on, world.on + timedelta(days=1)):
        assert [one for one in world.reconcile(on) if one[0].startswith("MOVEMENT")] == []


@settings(
    deadline=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(lost=st.sets(st.sampled_from(CALLS)))
def test_any_lost_movements_are_all_found_and_repaired(
    template: Path,
    credentials: Credentials,
    tmp_path_factory: pytest.TempPathFactory,
    lost: set[MoneyCall],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("any")
        world = MovedWorld(template, folder / "moved.db", credentials, patch)
        world.everything()
        before, keys = world.balance_of(), {call: world.key(call) for call in lost}
        for key in keys.values():
            world.forget(key)
        found = world.reconcile()
        assert sorted(found) == sorted((Kind.MOVEMENT_MISSING, key, Action.ASKED) for key in keys.values())
        items = [one for one in world.open_items() if one.kind == ReviewKind.BILL_DIFFERENCE]
        for item, agreed in itertools.product(items, (ANNA, BERT)):
            if agreed == ANNA:
                reviews.propose(world.services, item.id, action="repeat-call", actor=ANNA, evidence=EVIDENCE)
            else:
                reviews.approve(world.services, item.id, actor=BERT)
        world.later(1)
        assert world.balance_of() == before
        assert world.reconcile() == []
        world.close()
