"""毕业退费 from the form to the bank: the password first, two operators, and the owner hears of each step."""

from __future__ import annotations

from app.phone import Page
from models.values.actor import Actor
from payments.payouts import approval, transfer_list
from tests.journeys.town import PASSWORD, Student, Town
from tests.rig import eventually

BANK = {"bank_name": "某某银行桂林支行", "bank_account": "6222000012345678"}
FRESH = "/self/login?fresh=1&next=/self/payout"


def type_password(student: Student, page: Page) -> Page:
    assert "/cas/login" in page.url
    return student.submit(page, page.form(), username=student.account_no, password=PASSWORD)


def test_a_balance_goes_to_the_bank_and_the_owner_hears_of_it(town: Town) -> None:
    student = town.newcomer("赵小满").bound()
    page = student.open("/self/payout")
    assert "重新登录并填写申请" in page.text
    # Logged in, and still the identity server asks for the password.
    page = type_password(student, student.open(FRESH))
    assert page.url.endswith("/self/payout")
    page = student.submit(page, page.form("/self/payout"), payee="赵小满", **BANK)
    assert "申请已提交" in page.text
    here = town.house.web
    (payout,) = approval.of_account(here, student.account_no, limit=5)
    for operator in ("anna", "bert"):
        approval.approve(here, payout_no=payout.payout_no, actor=Actor.from_name(operator))
    part_no = payout.parts[0].part_no
    eventually(lambda: approval.look(here, payout.payout_no).parts[0].state == "WITHDRAWN", "the withdrawal")
    assert transfer_list.make_list(here, actor=Actor.from_name("bert"))
    assert "尾号 5678" in student.wait_for("退费已提交银行转账", "金额：12.34 元", part_no)
    assert transfer_list.mark_paid(here, part_no=part_no, actor=Actor.from_name("bert"))
    student.wait_for("退费已转账", part_no)
    assert "银行转账 ¥12.34：已退回" in student.open("/self/payout").text


def test_an_address_without_the_wish_for_the_password_opens_nothing(town: Town) -> None:
    student = town.newcomer().bound()
    student.open("/self/")
    login = student.open(FRESH)
    assert "renew=true" in login.url
    # The session at the identity server is open: without the wish it gives a ticket at once.
    refused = student.open(login.url.replace("&renew=true", ""))
    assert "E-TICKET" in refused.text
    assert "重新登录并填写申请" in student.open("/self/payout").text
