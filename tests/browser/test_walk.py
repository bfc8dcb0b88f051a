"""A student, the phone page and nothing played: from following the account to money on the account."""

from __future__ import annotations

from playwright.sync_api import expect
from sqlalchemy import select

from models.money import mask_name
from models.order import Credit, CreditStatus, Order, OrderEvent, OrderStatus
from tests.browser.conftest import Hold
from tests.browser.screen import PATIENCE_MS, Screen, order_no_in
from tests.browser_rig import NEEDS_BROWSER
from tests.journeys.town import NAME, Student, Town
from tests.rig import DEMO_BALANCE_FEN

pytestmark = NEEDS_BROWSER

OTHER = "孙七七"


def order_5(screen: Screen) -> None:
    """From 充值5 to the pay page, by words and taps."""
    shown = screen.say("充值5", "请核对充值信息")
    offered = screen.tap(shown, "确认", "点此支付")
    offered.get_by_role("button", name="点此支付 5.00 元").click()
    expect(screen.heading).to_have_text("请核对")


def order_of(town: Town, student: Student) -> Order:
    (order,) = town.orders(student)
    return order


def test_from_following_to_five_yuan_on_the_account(town: Town, hold: Hold) -> None:
    student = town.newcomer()
    screen = hold(student)
    screen.follow().get_by_role("button", name="绑定校园网账号").click()
    screen.web.get_by_role("link", name="统一身份认证登录并绑定").click()
    screen.log_in()
    expect(screen.web.get_by_role("status")).to_contain_text("绑定成功")
    expect(screen.web.get_by_label("已绑定的账号")).to_contain_text(student.account_no)
    screen.back_to_chat()
    before = screen.ask_balance_fen()
    order_5(screen)
    expect(screen.web.get_by_role("main")).to_contain_text(student.account_no)
    expect(screen.web.get_by_role("main")).to_contain_text(mask_name(NAME))
    screen.pay("5.00")
    screen.expect_success()
    expect(screen.web.get_by_role("main")).to_contain_text("17.34")
    screen.back_to_chat()
    arrived = screen.wait_for("充值到账", "5.00 元")
    assert order_no_in(arrived.inner_text()) == order_of(town, student).order_no
    assert (before, screen.ask_balance_fen()) == (DEMO_BALANCE_FEN, DEMO_BALANCE_FEN + 500)


def test_an_amount_of_ones_own_for_somebody_else(town: Town, hold: Hold) -> None:
    payer, owner = town.newcomer().bound(), town.newcomer(OTHER).bound()
    screen = hold(payer)
    screen.menu("网费充值", "给他人充值")
    screen.wait_for("请输入要充值的校园网账号")
    screen.say(owner.account_no, "再输入一次")
    named = screen.say(owner.account_no, mask_name(OTHER))
    amounts = screen.tap(named, "确认", "请选择充值金额")
    screen.tap(amounts, "其他金额", "请直接输入充值金额")
    shown = screen.say("7", "充值金额：7.00 元")
    screen.tap(shown, "确认", "点此支付").get_by_role("button", name="点此支付 7.00 元").click()
    screen.pay("7.00")
    screen.expect_success()
    expect(screen.web.get_by_text("充值后余额")).to_have_count(0)
    screen.back_to_chat()
    arrived = screen.wait_for("充值到账", "7.00 元")
    assert owner.account_no in arrived.inner_text()
    assert "余额" not in arrived.inner_text()
    assert screen.ask_balance_fen() == DEMO_BALANCE_FEN
    assert hold(owner).ask_balance_fen() == DEMO_BALANCE_FEN + 700


def test_a_payment_whose_notice_is_lost_is_found_while_the_page_is_open(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    screen.page.get_by_test_id("fault-notify-lost").click()
    expect(screen.page.locator("#fault-list")).to_contain_text("支付通知丢失")
    order_5(screen)
    screen.pay("5.00")
    screen.expect_success()
    # Said to screen readers, too: the page changed under their hands.
    expect(screen.web.locator("[data-status]")).to_have_text("已到账")
    screen.back_to_chat()
    screen.wait_for("充值到账", "5.00 元")
    assert screen.ask_balance_fen() == DEMO_BALANCE_FEN + 500
    with town.house.database.reading() as session:
        paid = select(OrderEvent.cause).where(
            OrderEvent.order_id == order_of(town, student).id, OrderEvent.status == OrderStatus.PAID
        )
        assert session.scalars(paid).all() == ["query"]


def test_a_notice_delivered_five_times_credits_once(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    screen.page.get_by_test_id("fault-notify-five").click()
    expect(screen.page.locator("#fault-list")).to_contain_text("支付通知五次")
    order_5(screen)
    screen.page.get_by_test_id("wire-clear").click()
    screen.pay("5.00")
    notices = screen.page.locator('[data-testid="wire-row"][data-kind="pay.notify"]')
    expect(notices).to_have_count(5, timeout=PATIENCE_MS)
    assert {row.get_attribute("data-status") for row in notices.all()} <= {"200", "204"}
    screen.expect_success()
    screen.back_to_chat()
    screen.wait_for("充值到账", "5.00 元")
    assert screen.ask_balance_fen() == DEMO_BALANCE_FEN + 500
    expect(screen.messages("充值到账")).to_have_count(1)
    with town.house.database.reading() as session:
        credits_made = select(Credit.status).where(Credit.order_id == order_of(town, student).id)
        assert session.scalars(credits_made).all() == [CreditStatus.CREDITED]
