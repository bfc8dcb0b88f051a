"""What else a student does in the pages: choose an amount, give it up, ask for the money, look back."""

from __future__ import annotations

from playwright.sync_api import expect

from models.order import OrderStatus
from tests.browser.conftest import Hold
from tests.browser.screen import PATIENCE_MS, Screen
from tests.browser_rig import NEEDS_BROWSER
from tests.journeys.town import Town
from tests.rig import DEMO_BALANCE_FEN

pytestmark = NEEDS_BROWSER


def order_20(screen: Screen) -> None:
    """From the menu to the pay page of 20 yuan for one's own account."""
    screen.menu("网费充值", "立即充值")
    screen.web.get_by_role("radio", name="50 元").click()
    screen.web.get_by_role("radio", name="20 元").click()
    screen.web.get_by_role("button", name="下一步，核对 ¥20.00").click()
    expect(screen.heading).to_have_text("请核对")


def test_twenty_yuan_from_the_menu(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    order_20(screen)
    expect(screen.web.get_by_role("main")).to_contain_text(student.account_no)
    expect(screen.web.get_by_role("main")).to_contain_text("充错无法退回")
    screen.pay("20.00")
    screen.expect_success()
    screen.back_to_chat()
    screen.wait_for("充值到账", "20.00 元")
    assert screen.ask_balance_fen() == DEMO_BALANCE_FEN + 2000


def test_whoever_closes_the_pay_sheet_can_pay_the_same_order_later(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    order_20(screen)
    screen.press_pay("20.00")
    screen.page.get_by_test_id("pay-cancel").click()
    expect(screen.web.get_by_role("status")).to_have_text("未支付，可继续支付")
    screen.back_to_chat()
    screen.menu("网费充值", "充值记录")
    screen.web.get_by_role("link", name=student.account_no).click()
    expect(screen.heading).to_have_text("待支付")
    screen.web.get_by_role("link", name="去支付 ¥20.00").click()
    screen.pay("20.00")
    screen.expect_success()
    assert [order.status for order in town.orders(student)] == [OrderStatus.PAID]


def test_an_order_that_is_not_wanted_any_more_is_closed(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    order_20(screen)
    screen.web.get_by_role("button", name="不充了，取消订单").click()
    expect(screen.heading).to_have_text("订单已关闭")
    assert [order.status for order in town.orders(student)] == [OrderStatus.CLOSED]


def test_the_button_for_missing_money_asks_and_says_what_it_heard(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    order_20(screen)
    (order,) = town.orders(student)
    screen.open(f"/h5/orders/{order.order_no}")
    screen.web.get_by_role("button", name="没到账？查一次").click()
    expect(screen.web.get_by_text("这笔订单还没有付款记录")).to_be_visible()
    # Paid on another screen, and the notice is lost: this page has to ask.
    screen.page.get_by_test_id("fault-notify-lost").click()
    expect(screen.page.locator("#fault-list")).to_contain_text("支付通知丢失")
    student.pay(f"/h5/pay/{order.order_no}")
    screen.web.get_by_role("button", name="没到账？查一次").click()
    screen.expect_success()


def test_records_and_usage_from_the_menu(town: Town, hold: Hold) -> None:
    student = town.newcomer(daily_gb=(3, 5, 2)).bound()
    screen = hold(student)
    screen.menu("内网服务", "流量用量")
    screen.wait_for("本月已用").get_by_role("button", name="查看每日用量").click()
    expect(screen.web.get_by_role("img", name="每天用量柱状图")).to_be_visible(timeout=PATIENCE_MS)
    screen.web.get_by_text("每天明细").click()
    expect(screen.web.get_by_role("row")).not_to_have_count(0)
    screen.back_to_chat()
    screen.menu("网费充值", "充值记录")
    expect(screen.web.get_by_text("还没有充值记录")).to_be_visible()
    screen.web.get_by_role("link", name="网费充值").click()
    expect(screen.web.get_by_label("我的账号")).to_contain_text("12.34")


def test_the_packages_depend_on_the_network(town: Town, hold: Hold) -> None:
    screen = hold(town.newcomer().bound())
    screen.page.get_by_test_id("network-toggle").click()
    expect(screen.page.get_by_test_id("network-toggle")).to_contain_text("移动网络")
    screen.open("/go/packages")
    expect(screen.web.get_by_role("main")).to_contain_text("GUET-WiFi")
    screen.page.get_by_test_id("network-toggle").click()
    expect(screen.page.get_by_test_id("network-toggle")).to_contain_text("校园网")
    screen.open("/go/packages")
    screen.log_in()
    expect(screen.heading).to_have_text("换购时长/流量包")
