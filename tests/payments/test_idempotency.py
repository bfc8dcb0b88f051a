"""Every entry point with a key: the same again changes nothing, the same key for something else is refused.

Broadcasts: `tests/bot/test_broadcast_keys.py`. Every billing backend: `tests/contracts/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from billing.embedded import policies, selling
from billing.embedded.ledger import KeyUsedOtherwise
from billing.interface import MoneyCall
from models.base import Base
from models.counter import CounterMiss, Way
from models.errors import IllegalTransition, Mismatch, Refused, ServiceError
from models.outbox import OutboxItem
from payments import outbox
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.counter import desk as counter
from payments.counter.steps import DayClosed, ReceiptUsed
from payments.outbox import PayloadDiffers
from payments.payouts import approval as payouts
from payments.reconcile.billing.repair import order_call
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, PEOPLE, make_template
from tests.payments.late_world import LateWorld
from tests.payments.payouts.payout_world import BANK, NAME
from tests.payments.refunds.refund_world import ANNA, BERT

ACCOUNT, OTHER = ACCOUNTS
Values = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One entry point: called with `first`, then with one of `others` instead.

    `repeats` is False where also the same call again is refused.
    """

    call: Callable[[LateWorld, Values], object]
    first: Values
    others: list[Values]
    refusal: type[ServiceError]
    repeats: bool = True
    prepare: Callable[[LateWorld], object] = field(default=lambda _: None)


def _billing(name: str) -> Callable[[LateWorld, Values], object]:
    def call(world: LateWorld, values: Values) -> object:
        account_no, amount_fen = values["account_no"], values["amount_fen"]
        rest = {key: value for key, value in values.items() if key not in {"account_no", "amount_fen"}}
        return getattr(world.billing, name)(account_no, amount_fen, **rest)

    return call


def _money(world: LateWorld) -> None:
    for account_no in ACCOUNTS:
        for key in ("k1", "k2"):
            world.billing._inner.credit(account_no, 5000, key=f"{key}{account_no}")


def _put(world: LateWorld, values: Values) -> None:
    with world.database.transaction() as session:
        outbox.put(session, "refund", "f1", values, now=world.clock.now())


def _take(world: LateWorld, values: Values) -> object:
    return counter.take(world.services, receipt_no="A0001", **values)


def _close(world: LateWorld, values: Values) -> object:
    return counter.close_day(world.services, clerk=ANNA, **values)


def _request_payout(world: LateWorld, values: Values) -> object:
    return payouts.request(world.services, account_no=ACCOUNT, payee=NAME, actor=ANNA, **values)


def _confirm(world: LateWorld, values: Values) -> None:
    (trade,) = world.paid_trades()
    fact = PaidFact(
        provider=WECHAT,
        out_trade_no=trade.request.out_trade_no,
        transaction_id="4200000000000000000000000001",
        amount_fen=500,
        currency="CNY",
        openid=PEOPLE[0],
        paid_at=world.clock.now(),
    )
    with world.database.transaction() as session:
        confirm_paid(session, replace(fact, **values), cause="test", now=world.clock.now())


def _order(world: LateWorld) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)


def _sell(world: LateWorld, values: Values) -> None:
    now = world.clock.now()
    new = selling.NewPackage(
        code="NEW", quota_bytes=10**9, sale_from=now, sale_until=None, special=False, **values
    )
    with world.database.transaction() as session:
        selling.put_on_sale(session, new, actor="anna", now=now)


def _grant(world: LateWorld, values: Values) -> None:
    now = world.clock.now()
    from_then = (now + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    with world.database.transaction() as session:
        policies.add_grant(
            session,
            kind="*",
            throttled_kbps=128,
            example=False,
            effective_from=from_then,
            actor="anna",
            now=now,
            **values,
        )


def _repair(world: LateWorld, values: Values) -> None:
    item: Values = {"key": "x", "order_id": None, "amount_fen": 1, "facts": {}}
    with world.database.transaction() as session:
        order_call(session, MoneyCall.WITHDRAWAL, "p1", now=world.clock.now(), item=item, **values)


TAKEN = {
    "clerk": ANNA,
    "account_no": ACCOUNT,
    "name": NAME,
    "amount_fen": 2000,
    "way": Way.CASH,
}
MOVED = {"account_no": ACCOUNT, "amount_fen": 300, "key": "k"}
BOUGHT = {"account_no": ACCOUNT, "amount_fen": "P05", "key": "k", "price_fen": 500}

ENTRIES: dict[str, Entry] = {
    "credit": Entry(
        _billing("credit"),
        MOVED,
        [{"account_no": OTHER}, {"amount_fen": 301}],
        KeyUsedOtherwise,
    ),
    "reverse": Entry(
        _billing("reverse"),
        {**MOVED, "credit_key": f"k1{ACCOUNT}"},
        [{"amount_fen": 301}, {"credit_key": f"k2{ACCOUNT}"}],
        KeyUsedOtherwise,
        prepare=_money,
    ),
    "withdraw": Entry(
        _billing("withdraw"),
        MOVED,
        [{"account_no": OTHER}, {"amount_fen": 301}],
        KeyUsedOtherwise,
        prepare=_money,
    ),
    "exchange": Entry(
        _billing("exchange"),
        BOUGHT,
        [{"account_no": OTHER}, {"amount_fen": "P10"}, {"price_fen": 501}],
        KeyUsedOtherwise,
        prepare=_money,
    ),
    "outbox": Entry(_put, {"out_refund_no": "f1"}, [{"out_refund_no": "f2"}], PayloadDiffers),
    "receipt": Entry(
        _take,
        TAKEN,
        [
            {"clerk": BERT},
            {"account_no": OTHER},
            {"name": "别人"},
            {"amount_fen": 1000},
            {"way": Way.TRANSFER, "reference": "B123456"},
        ],
        ReceiptUsed,
    ),
    "close of a day": Entry(
        _close,
        {"counted_cash_fen": 2000},
        [{"counted_cash_fen": 1999}],
        DayClosed,
        prepare=lambda world: _take(world, TAKEN),
    ),
    "payout": Entry(
        _request_payout,
        {**BANK},
        [{"bank_account": "6222000012345679"}],
        IllegalTransition,
        repeats=False,
        prepare=lambda world: world.cash(2000),
    ),
    "payment": Entry(
        _confirm,
        {},
        [
            {"transaction_id": "4200000000000000000000000002"},
            {"amount_fen": 501},
            {"currency": "USD"},
            {"openid": PEOPLE[1]},
        ],
        Mismatch,
        prepare=_order,
    ),
    "package": Entry(
        _sell, {"name": "新", "price_fen": 100}, [{"price_fen": 200}], selling.CodeTaken, repeats=False
    ),
    "grant": Entry(
        _grant, {"quota_bytes": 10**9}, [{"quota_bytes": 10**8}], policies.RuleRefused, repeats=False
    ),
    "repair": Entry(
        _repair,
        {"account_no": ACCOUNT, "amount_fen": 300},
        [{"account_no": OTHER}, {"amount_fen": 301}],
        PayloadDiffers,
    ),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LateWorld]:
    made = LateWorld(template, tmp_path / "keys.db", credentials, monkeypatch)
    yield made
    made.close()


def rows(world: LateWorld) -> dict[str, int]:
    """How many rows each table has; typed names that did not fit are counted elsewhere."""
    with world.database.reading() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name != CounterMiss.__tablename__
        }


@pytest.mark.parametrize("name", ENTRIES)
def test_the_same_again_changes_nothing(world: LateWorld, name: str) -> None:
    entry = ENTRIES[name]
    entry.prepare(world)
    entry.call(world, entry.first)
    before = rows(world)
    if entry.repeats:
        entry.call(world, entry.first)
    else:
        with pytest.raises(entry.refusal):
            entry.call(world, entry.first)
    assert rows(world) == before


@pytest.mark.parametrize(
    ("name", "other"),
    [
        pytest.param(name, other, id=f"{name}: {', '.join(other)}")
        for name, entry in ENTRIES.items()
        for other in entry.others
    ],
)
def test_the_same_key_with_other_parameters_is_refused(world: LateWorld, name: str, other: Values) -> None:
    entry = ENTRIES[name]
    entry.prepare(world)
    entry.call(world, entry.first)
    before, balances = rows(world), world.balance_fen()
    with pytest.raises(entry.refusal):
        entry.call(world, {**entry.first, **other})
    assert (rows(world), world.balance_fen()) == (before, balances)


def test_a_notification_goes_out_once_whatever_its_words(world: LateWorld) -> None:
    for words in ("a", "b"):
        with world.database.transaction() as session:
            outbox.put(session, "message", "m1", {"text": words}, now=world.clock.now())
    with world.database.reading() as session:
        (item,) = session.scalars(select(OutboxItem))
    assert item.payload == {"text": "a"}


def test_an_order_for_another_amount_is_another_order(world: LateWorld) -> None:
    """The key of an open order is the whole wish: nothing of it can differ."""
    first, again, other = (world.start(0, 0, fen) for fen in (500, 500, 600))
    assert first == again
    assert other not in {None, first}


def test_a_refund_approved_again_is_refused(world: LateWorld) -> None:
    order_no = world.paid(credited=True)
    world.approved(order_no)
    with pytest.raises(Refused):
        world.approved(order_no)
