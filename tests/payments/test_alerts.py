"""Alerts: once in a cycle, only to those who own the account and want them, never at night."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import cast

import pytest
from sqlalchemy import select, update

from app.deliveries import deliver_alert
from app.wiring import _announce
from app.worker import Worker
from billing import registry
from billing.embedded import seed
from billing.embedded.accounting import Accounting
from bot.client import WechatClient
from bot.errors import refusal
from bot.notices import Notices
from models.alert import Alert, AlertKind
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.ledger import Account
from models.outbox import OutboxItem, OutboxStatus
from models.package import LotKind, TrafficLot
from payments import alerts
from payments.binding import bind_account, unbind_account
from tests.billing.network import Nas
from tests.web.world import OWN, World

ME, ROOMMATE = "oMe", "oRoommate"
QUOTA = 1_000_000


@pytest.fixture
def world(any_database: Database) -> World:
    made = World(any_database)
    made.clock.now = datetime(2026, 11, 23, 12, 0, tzinfo=CAMPUS_ZONE)
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session, quota_bytes=QUOTA)
        seed.seed_demo_accounts(session, [seed.DemoAccount(OWN, "李小明", balance_fen=1000)], made.clock())
    bind_account(made.services, openid=ME, account_no=OWN)
    return made


@pytest.fixture
def accounting(world: World) -> Accounting:
    announce = partial(_announce, world.services.site)
    return registry.accounting(world.database, world.clock, interim_s=300, announce=announce)


def use(world: World, accounting: Accounting, *downs: int) -> None:
    """Traffic up to these counters, one report every second from now on."""
    nas = Nas(world.clock() - timedelta(seconds=600), account=OWN)
    accounting.take([nas.interim(100 + place, 0, down) for place, down in enumerate(downs)])


def raised(world: World) -> list[str]:
    with world.database.reading() as session:
        return [str(kind) for kind in session.scalars(select(Alert.kind).order_by(Alert.id))]


def promised(world: World, openid: str = ME) -> list[tuple[str, datetime]]:
    """First two lines of the messages, and when they are due."""
    with world.database.reading() as session:
        items = session.scalars(
            select(OutboxItem).where(OutboxItem.kind == alerts.JOB).order_by(OutboxItem.id)
        )
        return [
            (str(item.payload["text"]).split("\n")[2], item.next_at)
            for item in items
            if item.payload["openid"] == openid
        ]


def add_package(world: World, *, total: int = QUOTA, days: float = 20) -> None:
    with world.database.transaction() as session:
        session.add(
            TrafficLot(
                account_no=OWN, kind=LotKind.PACKAGE, package_code="P05", total_bytes=total, used_bytes=0,
                starts_at=world.clock() - timedelta(days=1), ends_at=world.clock() + timedelta(days=days),
            )
        )  # fmt: skip


def test_80_percent_100_percent_and_throttled_are_each_told_once(
    world: World, accounting: Accounting
) -> None:
    add_package(world)
    use(world, accounting, 799_999)
    assert raised(world) == []
    use(world, accounting, 800_000)
    use(world, accounting, 900_000, 1_000_000)
    use(world, accounting, 1_500_000)
    use(world, accounting, 1_900_000)
    use(world, accounting, 2_100_000, 2_200_000)
    assert raised(world) == ["traffic_80", "traffic_100", "traffic_80", "traffic_100", "throttled"]
    texts = [text for text, _ in promised(world)]
    assert texts == [
        "本月免费流量已用 80%，还剩 0.0 GB。",
        "本月免费流量已用完，接下来使用其余的高速流量。",
        "5元不限量套餐已用 80%，还剩 0.0 GB。",
        # At once with the end of the last lot: one message says both.
        "5元不限量套餐已用完，高速流量没有了：网速已放慢，不会断网。",
    ]


def test_a_step_over_both_lines_says_the_worse_one(world: World, accounting: Accounting) -> None:
    use(world, accounting, 5_000_000)
    assert raised(world) == ["traffic_100", "throttled"]
    assert len(promised(world)) == 1


def test_the_alert_is_written_with_the_traffic_or_not_at_all(world: World) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    accounting = registry.accounting(world.database, world.clock, interim_s=300, announce=fail)
    with pytest.raises(ZeroDivisionError):
        use(world, accounting, 900_000)
    assert world.services.billing.balance(OWN).lots[0].used_bytes == 0


def test_late_records_of_a_lot_that_has_ended_tell_nobody(world: World, accounting: Accounting) -> None:
    last_month = Nas(world.clock() - timedelta(days=40), account=OWN)
    accounting.take([last_month.interim(300, 0, 2 * QUOTA)])
    assert raised(world) == []


def test_everybody_bound_is_told_and_nobody_else(world: World, accounting: Accounting) -> None:
    bind_account(world.services, openid=ROOMMATE, account_no=OWN)
    unbind_account(world.services, openid=ME)
    use(world, accounting, 900_000)
    assert (len(promised(world, ME)), len(promised(world, ROOMMATE))) == (0, 1)


@pytest.mark.parametrize(
    ("hour", "day", "due_hour"), [(7, 23, 8), (8, 23, 8), (21, 23, 21), (22, 24, 8), (23, 24, 8), (0, 23, 8)]
)
def test_nobody_is_woken(world: World, accounting: Accounting, hour: int, day: int, due_hour: int) -> None:
    world.clock.now = datetime(2026, 11, 23, hour, 15, tzinfo=CAMPUS_ZONE)
    use(world, accounting, 900_000)
    ((_, due_at),) = promised(world)
    local = due_at.astimezone(CAMPUS_ZONE)
    assert (local.day, local.hour) == (day, due_hour)
    assert due_at >= world.clock()


def test_what_waits_for_the_morning_is_spread(world: World) -> None:
    night = datetime(2026, 11, 23, 0, 0, tzinfo=CAMPUS_ZONE)
    due = {alerts.by_day(night, f"o{number}") for number in range(200)}
    assert len(due) > 100
    assert max(due) < world.clock()


def test_who_has_stopped_alerts_is_not_told_and_neither_is_what_waits(
    world: World, accounting: Accounting
) -> None:
    use(world, accounting, 900_000)
    with world.database.reading() as session:
        assert alerts.still_wanted(session, ME, OWN)
    alerts.choose(world.services, ME, wanted=False)
    use(world, accounting, 5_000_000)
    assert len(promised(world)) == 1
    with world.database.reading() as session:
        assert not alerts.still_wanted(session, ME, OWN)
    alerts.choose(world.services, ME, wanted=True)
    with world.database.reading() as session:
        assert alerts.still_wanted(session, ME, OWN)
        assert not alerts.still_wanted(session, ME, "another")


class PlayedWechat:
    """Keeps what was sent."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.api = self.message = self
        self.refusal = refusal
        self.sent: list[tuple[str, str]] = []

    def send_text(self, openid: str, text: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((openid, text))


def deliver(world: World, fault: Exception | None = None) -> list[tuple[str, str]]:
    """What the worker sends of the alerts that are due. Each keeps its outcome."""
    wechat = PlayedWechat(fault)
    worker = Worker(
        world.services,
        {alerts.JOB: partial(deliver_alert, Notices(cast("WechatClient", wechat), {}))},
        wait=lambda _: None,
    )
    worker.run_once()
    return wechat.sent


def test_what_is_due_is_sent_unless_it_was_stopped_meanwhile(world: World, accounting: Accounting) -> None:
    use(world, accounting, 900_000)
    (sent,) = deliver(world)
    assert sent[0] == ME
    assert sent[1].startswith(f"流量提醒\n账号：…{OWN[-4:]}\n本月免费流量已用 80%")
    assert "msgmenucontent=停止提醒" in sent[1]
    assert "/h5/usage" in sent[1]
    use(world, accounting, 5_000_000)
    alerts.choose(world.services, ME, wanted=False)
    assert deliver(world) == []
    with world.database.reading() as session:
        alerts_only = select(OutboxItem.status).where(OutboxItem.kind == alerts.JOB)
        assert set(session.scalars(alerts_only)) == {OutboxStatus.DONE}


@pytest.mark.parametrize(("errcode", "day", "hour"), [(45011, 23, 12), (45009, 24, 8)])
def test_a_spent_quota_is_waited_for(
    world: World, accounting: Accounting, errcode: int, day: int, hour: int
) -> None:
    use(world, accounting, 900_000)
    assert deliver(world, refusal(errcode, "quota")) == []
    ((_, due_at),) = promised(world)
    local = due_at.astimezone(CAMPUS_ZONE)
    assert (local.day, local.hour) == (day, hour)
    world.clock.now = due_at
    assert len(deliver(world)) == 1


def test_restored_is_told_once_after_a_purchase(world: World, accounting: Accounting) -> None:
    use(world, accounting, 5_000_000)
    alerts.watch_restored(world.services)
    assert "restored" not in raised(world)
    add_package(world, total=10**9)
    alerts.watch_restored(world.services)
    alerts.watch_restored(world.services)
    assert raised(world)[-1:] == ["restored"]
    assert raised(world).count("restored") == 1
    assert promised(world)[-1][0] == "已恢复全速，高速流量还有 1.0 GB。"


def test_restored_is_told_after_the_month_began(world: World, accounting: Accounting) -> None:
    use(world, accounting, 5_000_000)
    world.clock.now = datetime(2026, 12, 1, 0, 1, tzinfo=CAMPUS_ZONE)
    alerts.watch_restored(world.services)
    assert raised(world)[-1] == "restored"
    assert promised(world)[-1][1].astimezone(CAMPUS_ZONE).hour == 8
    world.clock.pass_by(3600)
    use(world, accounting, 2 * QUOTA)
    assert raised(world)[-2:] == ["traffic_100", "throttled"]


def test_a_package_that_ends_soon_is_told_once(world: World) -> None:
    add_package(world, days=3.1)
    alerts.watch_balances(world.services)
    assert raised(world) == []
    world.clock.pass_by(3600 * 3)
    for _ in range(2):
        alerts.watch_balances(world.services)
    assert raised(world) == ["ending"]
    assert "5元不限量套餐将于 11-26 14:24 到期" in promised(world)[0][0]


def test_a_low_balance_is_told_once_a_month_below_the_persons_own_threshold(world: World) -> None:
    bind_account(world.services, openid=ROOMMATE, account_no=OWN)
    alerts.watch_balances(world.services)
    assert raised(world) == []
    alerts.choose(world.services, ROOMMATE, low_balance_fen=2000)
    for _ in range(2):
        alerts.watch_balances(world.services)
    assert (len(promised(world, ME)), len(promised(world, ROOMMATE))) == (0, 1)
    with world.database.transaction() as session:
        session.execute(update(Account).values(balance_fen=499))
    alerts.watch_balances(world.services)
    assert [text for text, _ in promised(world, ME)] == ["余额 4.99 元，低于 5 元。"]
    world.clock.now = datetime(2026, 12, 2, 12, 0, tzinfo=CAMPUS_ZONE)
    alerts.choose(world.services, ROOMMATE, low_balance_fen=0)
    alerts.watch_balances(world.services)
    assert (len(promised(world, ME)), len(promised(world, ROOMMATE))) == (2, 1)
    assert set(raised(world)) == {AlertKind.LOW_BALANCE}


def test_all_steps_of_a_long_list_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "STEP", 2)
    for number in range(5):
        bind_account(world.services, openid=f"o{number}", account_no=OWN)
        alerts.choose(world.services, f"o{number}", low_balance_fen=99_900)
    alerts.watch_balances(world.services)
    assert len(raised(world)) == 5
