"""Refunds from two operators to the payer's chat, through the sandbox over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app.listing import describe_order
from app.phone import link_in
from app.selfcheck import balance_fen
from billing.embedded import accounts
from models.order import CreditStatus, credit_of, find_order
from models.refund import Refund, RefundStatus, find_refund
from models.review import ReviewItem
from models.values.actor import Actor
from payments.audit.invariants import check
from payments.refunds import approval as refunds
from sandbox.pay.refunds_api import SETTLE_S
from tests.journeys.town import NAME, Student, Town
from tests.rig import DEMO_BALANCE_FEN, eventually

ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")


@pytest.fixture(autouse=True)
def _books_agree(town: Town) -> Iterator[None]:
    yield
    with town.house.database.reading() as session:
        assert check(session) == []


def paid(student: Student) -> str:
    assert "确认" in student.say("充值5")
    order_no = student.pay(link_in(student.say("确认"), "/h5/pay/"))
    student.wait_for("充值到账", order_no)
    return order_no


def refund(town: Town, order_no: str, amount_fen: int) -> str:
    services = town.house.web
    wanted = refunds.request(
        services, order_no=order_no, amount_fen=amount_fen, reason="充错账号", actor=ANNA
    )
    refunds.approve(services, out_refund_no=wanted.out_refund_no, actor=BERT)
    return wanted.out_refund_no


def fault(student: Student, name: str, place: str = "pay.refund") -> None:
    student.api("POST", "/sim/faults", {"name": name, "place": place})


def at_wechat(student: Student, number: str) -> dict[str, Any]:
    found: dict[str, Any] = student.api("GET", f"/sim/pay/refunds/{number}")
    return found


def all_of(student: Student, order_no: str) -> list[str]:
    found = student.api("GET", "/sim/pay/refunds")["refunds"]
    return [one["out_refund_no"] for one in found if one["out_trade_no"].startswith(order_no)]


def reaches(town: Town, number: str, status: RefundStatus) -> Refund:
    def there() -> Refund | None:
        with town.house.database.reading() as session:
            found = find_refund(session, number)
        return found if found is not None and found.status == status else None

    found: Refund = eventually(there, f"{number} in {status}", timeout_s=30)
    return found


def asked(town: Town, number: str) -> list[str]:
    with town.house.database.reading() as session:
        return list(session.scalars(select(ReviewItem.kind).where(ReviewItem.key.startswith(number))))


def test_part_of_a_credited_order_goes_back_to_the_payer(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    number = refund(town, order_no, 200)
    reaches(town, number, RefundStatus.PROCESSING)
    assert "2.00" in student.wait_for("退款已提交", order_no)
    town.move(seconds=SETTLE_S)
    reaches(town, number, RefundStatus.SUCCESS)
    assert "2.00" in student.wait_for("退款到账", order_no)
    assert balance_fen(student.say("余额")) == DEMO_BALANCE_FEN + 300
    assert at_wechat(student, number)["amount_fen"] == 200
    assert asked(town, number) == []


def test_one_command_follows_an_order_from_prepay_to_ledger_and_back(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    number = refund(town, order_no, 200)
    reaches(town, number, RefundStatus.PROCESSING)
    town.move(seconds=SETTLE_S)
    reaches(town, number, RefundStatus.SUCCESS)
    eventually(lambda: not unsealed(town, order_no), "the seals")
    shown = {
        known: describe_order(town.house.database, known) for known in (order_no, f"{order_no}01", number)
    }
    page = shown[order_no] or []
    assert all(lines == page for lines in shown.values())
    assert len(page) <= 60
    assert page[1:] == sorted(page[1:])
    steps = [
        "order    CREATED by payer", "prepay   ", "order    PAID by notify", "payment  ", "ledger   entry",
        "credit   c", "job      message done", "refund   ", "ledger   entry", "SUCCESS, reversal DONE",
    ]  # fmt: skip
    rest = iter(page)
    assert [step for step in steps if any(step in line for line in rest)] == steps
    text = "\n".join(page)
    assert "2.00" in text
    assert "seal " in text
    assert student.own_openid not in text
    assert NAME not in text
    assert describe_order(town.house.database, "r19700101nothing0000") is None


def unsealed(town: Town, order_no: str) -> bool:
    return any("not sealed" in line for line in describe_order(town.house.database, order_no) or [])


def test_an_order_whose_credit_billing_refused_goes_back_in_full(town: Town) -> None:
    student = town.newcomer().bound()
    assert "确认" in student.say("充值5")
    link = link_in(student.say("确认"), "/h5/pay/")
    student.open(link)
    with town.house.database.transaction() as session:
        accounts.close_account(session, student.account_no)
    order_no = student.pay(link)

    def refused() -> bool:
        with town.house.database.reading() as session:
            order = find_order(session, order_no)
            found = None if order is None else credit_of(session, order.id)
        return found is not None and found.status == CreditStatus.REJECTED

    eventually(refused, "the refusal")
    number = refund(town, order_no, 500)
    reaches(town, number, RefundStatus.PROCESSING)
    town.move(seconds=SETTLE_S)
    reaches(town, number, RefundStatus.SUCCESS)
    with town.house.database.reading() as session:
        order = find_order(session, order_no)
        assert order is not None
        found = credit_of(session, order.id)
    assert found is not None
    assert found.status == CreditStatus.VOIDED


def test_a_lost_notice_is_found_by_the_query(town: Town) -> None:
    student = town.newcomer().bound()
    number = refund(town, paid(student), 500)
    reaches(town, number, RefundStatus.PROCESSING)
    fault(student, "lost", "pay.refund_notify")
    town.move(seconds=SETTLE_S)
    eventually(lambda: at_wechat(student, number)["status"] == "SUCCESS", "the end at WeChat")
    town.move(seconds=60)
    reaches(town, number, RefundStatus.SUCCESS)


def test_an_empty_merchant_account_delays_the_refund(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    fault(student, "not_enough")
    number = refund(town, order_no, 500)
    waiting = reaches(town, number, RefundStatus.APPROVED)
    eventually(lambda: asked(town, number) == ["JOB_FAILED"], "the question")
    assert waiting.out_refund_no == number
    town.move(seconds=60)
    reaches(town, number, RefundStatus.PROCESSING)
    assert balance_fen(student.say("余额")) == DEMO_BALANCE_FEN


def test_an_abnormal_refund_is_finished_in_the_console(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    fault(student, "refund_abnormal")
    number = refund(town, order_no, 500)
    reaches(town, number, RefundStatus.PROCESSING)
    town.move(seconds=SETTLE_S)
    reaches(town, number, RefundStatus.ABNORMAL)
    assert asked(town, number) == ["REFUND_ABNORMAL"]
    student.api("POST", f"/sim/pay/refunds/{number}/settle", {"status": "SUCCESS"})
    reaches(town, number, RefundStatus.SUCCESS)
    student.wait_for("退款到账", order_no)


def test_an_answer_that_never_came_is_asked_about_and_refunded_once(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    student.api(
        "POST",
        "/sim/faults",
        {"name": "effect_then_timeout", "place": "pay.refund", "args": {"seconds": 0.1}},
    )
    number = refund(town, order_no, 500)
    eventually(lambda: all_of(student, order_no) == [number], "WeChat's acceptance")
    reaches(town, number, RefundStatus.UNKNOWN)
    town.move(seconds=60)
    reaches(town, number, RefundStatus.SUCCESS)
    assert all_of(student, order_no) == [number]


def test_a_refund_in_the_console_of_a_credited_order_is_shown_to_a_person(town: Town) -> None:
    student = town.newcomer().bound()
    order_no = paid(student)
    made = student.api(
        "POST", "/sim/pay/refunds", {"out_trade_no": f"{order_no}01", "tell": True, "at_once": True}
    )
    number = made["out_refund_no"]
    eventually(lambda: asked(town, number) == ["EXTERNAL_REFUND"], "the question")
    assert balance_fen(student.say("余额")) == DEMO_BALANCE_FEN + 500
