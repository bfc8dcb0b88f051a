"""From the signed question to the result: our client against the simulated platform."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from app.reconciling import write_csv
from models.clock import days_of, next_month
from models.db.engine import Database
from models.errors import Forged, Malformed, Unavailable, Unknown
from models.order import OrderStatus
from models.refund import Refund
from models.review import ReviewItem, ReviewKind
from models.statement import Difference, ReconStatus
from payments.reconcile import daily as reconcile
from payments.reconcile import monthly
from payments.reconcile import runs as reconcile_runs
from payments.views import OrderView
from payments.wechatpay.bills import NoStatement, StatementCreating, fundflow_bill, trade_bill
from payments.wechatpay.client import WechatPay
from payments.wechatpay.config import PayConfig
from sandbox.faults import Fault
from sandbox.pay.orders import BEIJING
from tests.builders import PAYER
from tests.payments.reconcile.bill_maker import BillWorld
from tests.sandbox.pay_rig import OPENID, PayRig


class Shop(BillWorld):
    """A world whose WeChat Pay is the simulated one."""

    def __init__(self, database: Database, folder: Path, rig: PayRig) -> None:
        super().__init__(database, folder)
        self.rig = rig
        known = rig.credentials
        config = PayConfig(
            app_id=known.app_id,
            mch_id=known.mch_id,
            api_v3_key=known.api_v3_key,
            merchant_serial=known.merchant_serial,
            merchant_key_pem=known.merchant_key_pem,
            public_keys={known.public_key_id: known.public_key_pem},
            platform_certs=(),
            api_base=rig.url,
            notify_url=rig.notify_url,
            read_timeout_s=5.0,
        )
        self.client = WechatPay(config, self.now)
        self.pay = cast("Any", self.client)
        self.on = self.today()
        self.paused: list[float] = []
        rig.platform.openid_exists = lambda openid: openid in {PAYER, OPENID}
        self.clock.now = self.now()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.rig.engine.stamp(), UTC)

    def today(self) -> date:
        return self.now().astimezone(BEIJING).date()

    def pay_at_wechat(self, view: OrderView) -> None:
        """The payer pays; nobody tells us."""
        self.rig.engine.faults.add(Fault("lost", "pay.notify"))
        self.rig.sim(f"orders/{view.order_no}01/pay")

    def morning(self) -> None:
        """The next one, at 10:10."""
        local = self.now().astimezone(BEIJING)
        goal = (local + timedelta(days=1)).replace(hour=10, minute=10, second=0)
        self.rig.engine.scheduler.advance((goal - local).total_seconds())
        self.clock.now = self.now()

    def move_to(self, day: int) -> None:
        """10:40 on the next such day of a month that has not begun."""
        local = self.now().astimezone(BEIJING)
        goal = next_month(local.date()).replace(day=day)
        goal_at = local.replace(year=goal.year, month=goal.month, day=goal.day, hour=10, minute=40)
        self.rig.engine.scheduler.advance((goal_at - local).total_seconds())
        self.clock.now = self.now()
        self.on = self.today()

    def refund_in_console(self, view: OrderView, number: str, fen: int, status: str) -> None:
        """Some of an order goes back; nobody tells us."""
        amount = {"refund": fen, "total": view.amount_fen, "currency": "CNY"}
        body = {"out_trade_no": f"{view.order_no}01", "out_refund_no": number, "amount": amount}
        assert self.rig.call("POST", "/v3/refund/domestic/refunds", body).status_code == 200
        self.rig.sim(f"refunds/{number}/settle", {"status": status})

    def fund_flow_bills(self, month: date) -> list[Path]:
        """Every bill of the month that there is, as somebody would download it by hand."""
        found = []
        for on in days_of(month):
            with contextlib.suppress(NoStatement):
                path = self.folder / f"by-hand-{on}.csv"
                fundflow_bill(self.client, on, path)
                found.append(path)
        return found

    def fault(self, name: str, place: str = "pay.bill", **args: float) -> None:
        self.rig.engine.faults.add(Fault(name, place, args=args))

    def differences(self) -> list[tuple[str, str]]:
        with self.database.reading() as session:
            found = reconcile_runs.differences_of(session, self.on)
            return sorted((str(one.kind), str(one.action)) for one in found)


@pytest.fixture
def shop(sqlite_database: Database, tmp_path: Path) -> Iterator[Shop]:
    with PayRig() as rig:
        made = Shop(sqlite_database, tmp_path, rig)
        yield made
        made.client.disconnect()


def test_a_lost_payment_is_found_in_the_downloaded_bill(shop: Shop) -> None:
    view = shop.prepaid()
    shop.pay_at_wechat(view)
    shop.morning()
    result = reconcile.run_daily(shop.services, shop.on)
    assert shop.order(view).status == OrderStatus.PAID
    assert (result.status, result.differences) == (ReconStatus.DONE, {"LOST_NOTIFY": 1})
    assert result.bill_sha1 is not None
    assert result.totals["bill"] == result.totals["bill_says"]


def test_a_bill_that_is_not_ready_is_for_later_and_leaves_no_result(shop: Shop) -> None:
    view = shop.prepaid()
    shop.pay_at_wechat(view)
    shop.morning()
    shop.fault("bill_not_ready")
    with pytest.raises(StatementCreating):
        reconcile.run_daily(shop.services, shop.on)
    shop.fault("bill_not_ready")
    with pytest.raises(Unavailable):
        reconcile.due_job(shop.services)
    assert shop.order(view).status == OrderStatus.PREPAID
    reconcile.due_job(shop.services)
    assert shop.order(view).status == OrderStatus.PAID


def test_a_day_without_a_bill_is_an_empty_day(shop: Shop) -> None:
    shop.morning()
    with pytest.raises(NoStatement):
        trade_bill(shop.client, shop.on, shop.folder / "none")
    result = reconcile.run_daily(shop.services, shop.on)
    assert (result.status, result.differences, result.bill_sha1) == (ReconStatus.DONE, {}, None)


@pytest.mark.parametrize(("fault", "error"), [("bill_bad_hash", Forged), ("bill_cut", Malformed)])
def test_a_file_that_is_not_the_promised_one_repairs_nothing(
    shop: Shop, fault: str, error: type[Exception]
) -> None:
    view = shop.prepaid()
    shop.pay_at_wechat(view)
    shop.morning()
    shop.fault(fault)
    with pytest.raises(error):
        reconcile.run_daily(shop.services, shop.on)
    assert shop.order(view).status == OrderStatus.PREPAID
    assert shop.differences() == []


@pytest.mark.parametrize(
    ("fault", "place", "error"),
    [
        ("unsigned", "pay.bill", Unknown),
        ("wrong_key", "pay.bill", Unknown),
        ("error_500", "pay.bill", Unknown),
        ("rate_429", "pay.bill", Unavailable),
        ("error_500", "pay.bill_download", Unknown),
        ("rate_429", "pay.bill_download", Unavailable),
        ("reset", "pay.bill_download", Unknown),
    ],
)
def test_a_download_that_fails_says_how(shop: Shop, fault: str, place: str, error: type[Exception]) -> None:
    shop.pay_at_wechat(shop.prepaid())
    shop.morning()
    shop.fault(fault, place)
    with pytest.raises(error):
        trade_bill(shop.client, shop.on, shop.folder / "bill")
    assert len(trade_bill(shop.client, shop.on, shop.folder / "bill")) == 40


def test_the_fund_flow_bill_is_downloaded_alike(shop: Shop) -> None:
    shop.pay_at_wechat(shop.prepaid())
    shop.morning()
    target = shop.folder / "flow"
    fundflow_bill(shop.client, shop.on, target)
    assert target.read_text(encoding="utf-8-sig").startswith("记账时间,")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("bill_missing_row", {("MISSING_IN_BILL", "asked"), ("MISSING_IN_BILL", "wait")}),
        ("bill_duplicate_row", {("DUPLICATE_ROW", "asked")}),
        ("bill_wrong_amount", {("AMOUNT_DIFFERS", "asked")}),
        ("bill_extra_row", {("FOREIGN", "asked")}),
        ("bill_foreign_order", {("FOREIGN", "listed")}),
        ("bill_wrong_totals", {("TOTALS_DIFFER", "asked")}),
    ],
)
def test_each_fault_of_the_bill_is_found(shop: Shop, fault: str, expected: set[tuple[str, str]]) -> None:
    # Nobody credits here, so billing is left out.
    shop.billing.can_list = False
    for _ in range(2):
        shop.pay_at_wechat(shop.prepaid(700))
    shop.morning()
    reconcile.run_daily(shop.services, shop.on)
    repaired = shop.differences()
    shop.fault(fault)
    reconcile.run_daily(shop.services, shop.on)
    new = [one for one in shop.differences() if one not in repaired]
    assert len(new) == 1
    assert new[0] in expected


def test_a_refund_made_in_the_console_is_recorded_and_shown_to_a_person(shop: Shop) -> None:
    view = shop.prepaid()
    shop.pay_at_wechat(view)
    amount = {"refund": 500, "total": 500, "currency": "CNY"}
    body = {"out_trade_no": f"{view.order_no}01", "out_refund_no": "CONSOLE1", "amount": amount}
    assert shop.rig.call("POST", "/v3/refund/domestic/refunds", body).status_code == 200
    shop.morning()
    for _ in range(2):
        reconcile.run_daily(shop.services, shop.on)
        assert ("EXTERNAL_REFUND", "recorded") in shop.differences()
    with shop.database.reading() as session:
        refund = session.scalars(select(Refund)).one()
        kinds = list(session.scalars(select(ReviewItem.kind)))
    assert (refund.origin, refund.amount_fen, refund.billed_on) == ("external", 500, shop.on)
    assert kinds.count(ReviewKind.EXTERNAL_REFUND) == 1


def test_a_month_of_fund_flow_agrees_day_by_day_with_refunds_and_days_without_trade(shop: Shop) -> None:
    """Four days from the 27th of next month on; WeChat knows nothing of the days before."""
    shop.move_to(27)
    views = [shop.prepaid(700), shop.prepaid(900)]
    for view in views:
        shop.pay_at_wechat(view)
    shop.refund_in_console(views[0], "CONSOLE1", 200, "ABNORMAL")
    shop.morning()
    shop.refund_in_console(views[1], "CONSOLE2", 300, "SUCCESS")
    shop.pay_at_wechat(shop.prepaid(500))
    month = shop.today().replace(day=1)
    reconcile.run_daily(shop.services, shop.on)
    shop.move_to(1)
    reconcile.due_job(shop.services)
    shop.fault("bill_not_ready")
    with pytest.raises(StatementCreating):
        monthly.run_month(shop.services, month, pause=shop.paused.append)
    shop.paused.clear()
    results = [
        monthly.run_month(shop.services, month, pause=shop.paused.append),
        monthly.run_files(shop.services, month, shop.fund_flow_bills(month)),
    ]
    assert len(shop.paused) == len(days_of(month))
    for result in results:
        assert (result.status, result.differences) == (ReconStatus.DONE, {})
        assert result.totals["income"] == result.totals["ours"] == {"rows": 3, "fen": 2100}
        assert result.totals["refunds"] == {"rows": 2, "fen": 500}
        assert (result.totals["opening_fen"], result.totals["closing_fen"]) == (0, 1600)
    assert results[0].totals == results[1].totals
    assert [day["closing_fen"] for day in results[0].totals["days"][26:29]] == [1400, 1600, None]


def test_the_report_opens_in_a_spreadsheet_and_runs_no_formula(shop: Shop) -> None:
    file = io.StringIO()
    result = reconcile_runs.Summary(shop.on, "trade", ReconStatus.DONE, None, {}, {}, "=HYPERLINK(1)")
    row = Difference(kind="FOREIGN", key="@SUM(A1)", order_no=None, amount_fen=-5, facts={}, action="listed")
    write_csv(file, result, iter([row]))
    cells = [cell for line in csv.reader(io.StringIO(file.getvalue())) for cell in line]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert "'@SUM(A1)" in cells
    assert "'-0.05" in cells
