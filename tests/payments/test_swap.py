from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import pytest
from sqlalchemy import func, select, update

from app.worker import Worker
from billing.embedded import accounts, ledger, seed
from billing.embedded.engine import EmbeddedBilling
from billing.interface import BillingBackend, ExchangeReceipt
from models.db.engine import Database
from models.errors import (
    AmountOutOfRange,
    Conflict,
    PackageNotOffered,
    SoldOut,
    Unavailable,
    Unknown,
)
from models.journal import journal_of
from models.outbox import OutboxItem, OutboxStatus
from models.package import Package, Purchase, TrafficLot
from models.swap import SwapStatus
from payments import credit, orders, outbox, swap
from payments.binding import bind_account
from payments.views import OrderView
from tests.builders import ACCOUNT, PAYER, ScriptedBilling, World, refusal
from tests.crashes.points import Crash, Points, WatchedBilling, around_commits


@dataclass
class Shop:
    """A world with the real engine behind it; `billing` breaks its calls, `points` its processes."""

    world: World
    engine: EmbeddedBilling
    billing: WatchedBilling
    points: Points

    def order(self, amount_fen: int = 500, code: str | None = "P05") -> OrderView:
        return orders.start_recharge(
            self.world.services, openid=PAYER, account_no=ACCOUNT, amount_fen=amount_fen, then_package=code
        )

    def pay(self, view: OrderView) -> None:
        orders.pay_params(self.world.services, order_no=view.order_no, openid=PAYER)
        self.world.confirm(view)

    def paid(self, amount_fen: int = 500, code: str | None = "P05") -> OrderView:
        view = self.order(amount_fen, code)
        self.pay(view)
        return view

    def work(self) -> None:
        """A fresh worker does what is due."""
        deliveries = {"credit": credit.deliver, swap.KIND: swap.deliver}
        while Worker(self.world.services, deliveries, wait=lambda _: None).run_once():
            pass

    def look(self, view: OrderView) -> OrderView:
        return orders.look(self.world.services, order_no=view.order_no, openid=PAYER)

    def told(self, view: OrderView) -> str:
        item = self.world.item("message", f"swap:{view.order_no}")
        assert item is not None
        return str(item.payload["text"])

    def purchases(self) -> int:
        with self.world.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Purchase)) or 0

    def balance_fen(self) -> int:
        return self.engine.balance(ACCOUNT).balance_fen

    def set_package(self, **values: Any) -> None:
        with self.world.database.transaction() as session:
            session.execute(update(Package).where(Package.code == "P05").values(**values))

    def use_up(self) -> None:
        with self.world.database.transaction() as session:
            session.execute(update(TrafficLot).values(used_bytes=TrafficLot.total_bytes))

    def bind(self) -> None:
        bind_account(self.world.services, openid=PAYER, account_no=ACCOUNT)


@pytest.fixture
def shop(any_database: Database) -> Shop:
    """The published packages, an account without money, and its unbound payer."""
    world = World(any_database)
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
        accounts.open_account(
            session, account_no=ACCOUNT, name="李小明", kind="undergraduate", now=world.clock()
        )
    engine, points = EmbeddedBilling(any_database, world.clock), Points()
    watched = WatchedBilling(cast("BillingBackend", engine), points)
    world.billing = cast("ScriptedBilling", watched)
    return Shop(world, engine, watched, points)


def test_the_package_is_swapped_when_the_money_has_arrived(shop: Shop) -> None:
    view = shop.paid()
    assert (view.then_package, view.swap) == ("5元不限量套餐", SwapStatus.WAITING)
    shop.work()
    seen = shop.look(view)
    assert (seen.swap, seen.settled) == (SwapStatus.DONE, True)
    package = shop.engine.balance(ACCOUNT).package
    assert package is not None
    assert (package.name, shop.balance_fen()) == ("5元不限量套餐", 0)
    assert "换购成功" in shop.told(view)
    assert "套餐：5元不限量套餐（8.0 GB）" in shop.told(view)
    assert [line.order_no for line in shop.engine.statement(ACCOUNT)] == [view.order_no] * 2


def test_an_order_is_not_settled_while_its_swap_waits(shop: Shop) -> None:
    view = shop.paid()
    (held,) = shop.world.claim("credit")
    credit.deliver(shop.world.services, held)
    seen = shop.look(view)
    assert (seen.step, seen.swap, seen.settled) == ("credited", SwapStatus.WAITING, False)


def test_without_a_wish_nothing_is_swapped(shop: Shop) -> None:
    view = shop.paid(code=None)
    shop.work()
    assert (view.then_package, view.swap, shop.look(view).settled) == (None, None, True)
    assert shop.world.item(swap.KIND, view.order_no) is None
    assert (shop.purchases(), shop.balance_fen()) == (0, 500)


def test_a_refused_swap_leaves_the_money_and_is_told(shop: Shop) -> None:
    shop.bind()
    view = shop.paid()
    shop.set_package(price_fen=600)
    shop.work()
    seen = shop.look(view)
    assert (seen.swap, seen.swap_refusal, seen.settled) == (SwapStatus.REFUSED, "E-PKG-PRICE", True)
    assert (shop.purchases(), shop.balance_fen()) == (0, 500)
    assert "原因：套餐价格已变为 6.00 元" in shop.told(view)
    assert "充值的 5.00 元已留在账户余额中" in shop.told(view)
    with shop.world.database.reading() as session:
        assert [row.what for row in journal_of(session, view.order_no)][-2:] == ["credited", "swap_refused"]


def test_a_stranger_who_pays_learns_nothing_about_the_account(shop: Shop) -> None:
    first = shop.paid()
    shop.work()
    second = shop.paid(1000, "P10")
    shop.work()
    assert shop.look(second).swap is SwapStatus.REFUSED
    assert "未能换购" in shop.told(second)
    assert "原因" not in shop.told(second)
    assert "还剩" not in shop.told(second)
    assert "余额：" not in shop.told(first)


def test_only_the_owner_may_spend_what_was_there_before(shop: Shop) -> None:
    shop.engine.credit(ACCOUNT, 2000, key="C1")
    with pytest.raises(AmountOutOfRange, match="不能低于套餐价格 10 元"):
        shop.order(500, "P10")
    shop.bind()
    view = shop.paid(500, "P10")
    shop.work()
    assert shop.look(view).swap is SwapStatus.DONE
    assert shop.balance_fen() == 1500
    assert "余额：15.00 元" in shop.told(view)


def test_the_same_wish_finds_the_same_open_order_another_wish_does_not(shop: Shop) -> None:
    first = shop.order()
    assert shop.order() == first
    assert shop.order(code=None).order_no != first.order_no
    assert shop.order(1000, "P10").order_no != first.order_no
    # At another price it is another wish.
    shop.set_package(price_fen=400)
    assert shop.order().order_no != first.order_no
    assert [view.then_package is None for view in orders.history(shop.world.services, openid=PAYER)] == [
        False,
        False,
        True,
        False,
    ]


def test_what_cannot_be_bought_cannot_be_wished(shop: Shop) -> None:
    with pytest.raises(PackageNotOffered):
        shop.order(code="P99")
    shop.set_package(stock_left=0)
    with pytest.raises(SoldOut):
        shop.order()
    shop.set_package(for_kinds=["staff"])
    with pytest.raises(PackageNotOffered):
        shop.order()
    shop.world.billing = ScriptedBilling()
    with pytest.raises(PackageNotOffered, match="自助服务系统"):
        shop.order()
    assert orders.history(shop.world.services, openid=PAYER) == []


@pytest.mark.parametrize("error", [Unknown("lost"), Unavailable("down")])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_no_answer_billing_is_asked_and_the_swap_happens_once(
    shop: Shop, when: str, error: Unknown | Unavailable
) -> None:
    view = shop.paid()
    (held,) = shop.world.claim("credit")
    credit.deliver(shop.world.services, held)
    shop.billing.faults.append((when, error))
    shop.work()
    assert shop.look(view).swap is SwapStatus.WAITING
    shop.world.clock.forward(seconds=10)
    shop.points.arm(None)
    shop.work()
    # "Not reachable" is an answer: that call certainly had no effect.
    asked = isinstance(error, Unknown)
    assert shop.points.passed[:1] == ["before find_exchange" if asked else "before exchange"]
    assert shop.look(view).swap is SwapStatus.DONE
    assert (shop.purchases(), shop.balance_fen()) == (1, 0)


def test_a_worker_that_comes_back_late_does_not_speak_for_its_successor(shop: Shop) -> None:
    view = shop.paid()
    (held,) = shop.world.claim("credit")
    credit.deliver(shop.world.services, held)
    (slow,) = shop.world.claim(swap.KIND, owner="slow")
    successors: list[outbox.Claim] = []
    plain = shop.engine.exchange

    def refused_late(*_: Any, **__: Any) -> ExchangeReceipt:
        """The refusal takes so long that a successor has the job before it arrives."""
        shop.engine.exchange = plain  # type: ignore[method-assign]  # one object, for one test
        shop.world.clock.forward(seconds=outbox.LEASE_S + 1)
        successors.extend(shop.world.claim(swap.KIND, owner="successor"))
        raise refusal()

    shop.engine.exchange = refused_late  # type: ignore[method-assign]  # one object, for one test
    with pytest.raises(Conflict):
        swap.deliver(shop.world.services, slow)
    assert shop.look(view).swap is SwapStatus.WAITING
    swap.deliver(shop.world.services, successors[0])
    assert shop.look(view).swap is SwapStatus.DONE


@pytest.mark.long
def test_a_process_may_die_anywhere_and_the_swap_happens_once(shop: Shop) -> None:
    around_commits(shop.points, shop.world.database)
    places = cut(shop, None)
    assert {"before exchange", "after exchange", "before credit", "after commit"} <= set(places)
    for index, place in enumerate(places):
        assert cut(shop, index)[: index + 1] == places[: index + 1], f"{place} was not reached"


def cut(shop: Shop, at: int | None) -> list[str]:
    """A recharge with a swap whose worker dies at a place, and what follows. Returns: places passed."""
    shop.use_up()
    view = shop.paid()
    shop.points.arm(at)
    with suppress(Crash):
        shop.work()
    passed = list(shop.points.passed)
    shop.points.arm(None)
    for _ in range(3):
        shop.world.clock.forward(seconds=outbox.LEASE_S + 1)
        shop.work()
    assert shop.look(view).swap is SwapStatus.DONE
    assert (shop.balance_fen(), "换购成功" in shop.told(view)) == (0, True)
    with shop.world.database.reading() as session:
        bought = select(func.count()).where(Purchase.key == f"x{view.order_no}")
        assert session.scalar(bought) == 1
        assert ledger.wrong_balances(session) == []
        kinds = OutboxItem.kind.in_(("credit", swap.KIND))
        assert not session.scalar(select(func.count()).where(OutboxItem.status != OutboxStatus.DONE, kinds))
    return passed
