"""毕业退费 in the portal: the owner asks, two operators agree, and nobody else sees a card number."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.worker import Worker
from billing.interface import Capabilities
from models.errors import IllegalTransition
from models.journal import JournalRow
from models.payout import Payout, PayoutStatus
from models.refund import Refund
from models.values.actor import Actor
from payments.payouts import approval, delivery
from payments.refunds.approval import SamePerson
from tests.web.conftest import csrf_in
from tests.web.portal_visitor import come_back, log_in_fresh, visitor
from tests.web.world import OTHER, OWN, World

CARD = "6222000012345678"
FORM = {"payee": "李小明", "bank_name": "某某银行桂林支行", "bank_account": "6222 0000 1234 5678"}


@pytest.fixture
def browser(world: World) -> FlaskClient:
    client = visitor(world)
    assert log_in_fresh(world, client) == "/self/payout"
    return client


def ask(browser: FlaskClient, **changes: str) -> str:
    """Send the form and go where it leads."""
    token = csrf_in(browser.get("/self/payout").text)
    answer = browser.post(
        "/self/payout", data={"csrf_token": token, **FORM, **changes}, follow_redirects=True
    )
    return answer.text


def stored(world: World) -> list[Payout]:
    with world.database.reading() as session:
        return list(session.scalars(select(Payout).order_by(Payout.id)))


def test_the_formula_and_the_ways_back_are_shown_before_anything_is_asked(
    world: World, browser: FlaskClient
) -> None:
    world.bind()
    order = world.order(amount_fen=500, account_no=OWN)
    world.pay_order(order)
    world.credit_order(order)
    html = browser.get("/self/payout").text
    for words in ("¥17.34", "减 当期费用", "¥5.00，1 笔", "¥12.34", "申请退回 ¥17.34", "*小明"):
        assert words in html
    assert stored(world) == []


def test_the_owner_asks_once_and_the_card_is_masked(world: World, browser: FlaskClient) -> None:
    html = ask(browser)
    (payout,) = stored(world)
    assert (payout.amount_fen, payout.by_owner, payout.status) == (1234, True, "REQUESTED")
    assert (payout.payee, payout.bank_account) == ("李小明", CARD)
    assert "申请已提交" in html
    assert "待审核" in html
    assert "…5678" in html
    assert CARD not in html
    assert 'name="bank_account"' not in html
    with world.database.reading() as session:
        facts = [row.facts for row in session.scalars(select(JournalRow))]
    assert CARD not in str(facts)


def test_a_form_sent_twice_asks_once(world: World, browser: FlaskClient) -> None:
    token = csrf_in(browser.get("/self/payout").text)
    for _ in range(2):
        answer = browser.post("/self/payout", data={"csrf_token": token, **FORM})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/self/payout")
    assert len(stored(world)) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"payee": "欧阳小红"}, "E-NAME"), ({"bank_account": "12"}, "须填写"), ({"bank_name": ""}, "须填写")],
)
def test_what_is_wrong_is_said_and_the_card_is_not_sent_back(
    world: World, browser: FlaskClient, changes: dict[str, str], code: str
) -> None:
    html = ask(browser, **changes)
    assert code in html
    assert "6222" not in html
    assert stored(world) == []


def test_without_the_password_just_now_there_is_no_form_and_nothing_is_taken(world: World) -> None:
    client = visitor(world)
    html = client.get("/self/payout").text
    assert 'href="/self/login?fresh=1&amp;next=/self/payout"' in html
    assert "申请退回 ¥12.34" not in html
    assert 'name="payee"' not in html
    answer = client.post("/self/payout", data={"csrf_token": csrf_in(html), **FORM})
    assert (answer.status_code, "E-FRESH" in answer.text) == (401, True)
    assert "重新登录并填写申请" in answer.text
    assert "6222" not in answer.text
    assert stored(world) == []


def test_five_minutes_after_the_password_the_form_is_too_old(world: World, browser: FlaskClient) -> None:
    html = browser.get("/self/payout").text
    assert '请在 <span class="num">09:10</span> 前提交' in html
    token = csrf_in(html)
    world.clock.pass_by(301)
    answer = browser.post("/self/payout", data={"csrf_token": token, **FORM})
    assert "E-FRESH" in answer.text
    assert stored(world) == []
    # The login itself has not ended, and the password opens the form again.
    log_in_fresh(world, browser)
    assert "申请已提交" in ask(browser)


def test_an_open_session_at_the_identity_server_is_no_password(world: World) -> None:
    client = visitor(world)
    assert "E-TICKET" in log_in_fresh(world, client, typed=False)
    assert "重新登录并填写申请" in client.get("/self/payout").text
    # The login that was there before is still there.
    assert client.get("/self/").status_code == 200


def test_a_login_afterwards_without_the_password_ends_what_it_allowed(
    world: World, browser: FlaskClient
) -> None:
    come_back(world, browser, "/self/login?next=/self/payout", OWN)
    assert "重新登录并填写申请" in browser.get("/self/payout").text
    log_in_fresh(world, browser, OTHER)
    html = browser.get("/self/payout").text
    assert OTHER in html
    assert OWN not in html


def test_names_cannot_be_tried(world: World, browser: FlaskClient) -> None:
    for _ in range(10):
        assert "E-NAME" in ask(browser, payee="某人")
    world.limiter.counts.clear()
    assert "核对失败次数过多" in ask(browser)
    assert stored(world) == []


def test_two_operators_agree_and_neither_is_the_same(world: World, browser: FlaskClient) -> None:
    ask(browser)
    number = stored(world)[0].payout_no
    checked = approval.approve(world.services, payout_no=number, actor=Actor.from_name("anna"))
    assert (checked.status, checked.checked_by) == (PayoutStatus.REQUESTED, "anna")
    assert "初审通过" in browser.get("/self/payout").text
    assert world.services.billing.balance(OWN).balance_fen == 1234
    with pytest.raises(SamePerson):
        approval.approve(world.services, payout_no=number, actor=Actor.from_name("Anna"))
    agreed = approval.approve(world.services, payout_no=number, actor=Actor.from_name("bert"))
    assert agreed.status == PayoutStatus.APPROVED
    Worker(world.services, {"payout": delivery.deliver}, wait=lambda _: None).run_once()
    assert world.services.billing.balance(OWN).balance_fen == 0
    html = browser.get("/self/payout").text
    for words in ("已批准", "银行转账 ¥12.34：退回中", "没有可退的金额"):
        assert words in html


def test_what_goes_back_through_wechat_is_asked_and_agreed_by_the_two_operators(
    world: World, browser: FlaskClient
) -> None:
    world.bind()
    order = world.order(amount_fen=500, account_no=OWN)
    world.pay_order(order)
    world.credit_order(order)
    ask(browser)
    for actor in ("anna", "bert"):
        approval.approve(world.services, payout_no=stored(world)[0].payout_no, actor=Actor.from_name(actor))
    with world.database.reading() as session:
        (refund,) = session.scalars(select(Refund))
    assert (refund.amount_fen, refund.requested_by, refund.approved_by) == (500, "anna", "bert")
    html = browser.get("/self/payout").text
    for words in ("微信原路 ¥5.00：退回中", "银行转账 ¥12.34：退回中"):
        assert words in html


def test_the_owner_takes_a_request_back_and_may_ask_again(world: World, browser: FlaskClient) -> None:
    ask(browser)
    number = stored(world)[0].payout_no
    token = csrf_in(browser.get("/self/payout").text)
    browser.post(f"/self/payout/{number}/withdraw", data={"csrf_token": token})
    assert "已撤回" in browser.get("/self/payout").text
    with pytest.raises(IllegalTransition):
        approval.approve(world.services, payout_no=number, actor=Actor.from_name("anna"))
    ask(browser)
    assert [payout.status for payout in stored(world)] == ["REJECTED", "REQUESTED"]


def test_a_stranger_neither_sees_nor_takes_back_a_request(world: World, browser: FlaskClient) -> None:
    ask(browser)
    number = stored(world)[0].payout_no
    stranger = visitor(world, OTHER)
    html = stranger.get("/self/payout").text
    assert number not in html
    answer = stranger.post(f"/self/payout/{number}/withdraw", data={"csrf_token": csrf_in(html)})
    assert answer.status_code == 404
    assert stored(world)[0].status == "REQUESTED"


def test_without_a_way_back_there_is_no_page(
    world: World, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/self/payout" in browser.get("/self/services").text
    can = Capabilities(
        find_credit=True, reverse=False, exchange=False, usage=False, sessions=False, kick=False, local=False
    )
    monkeypatch.setattr(type(world.services.billing), "capabilities", lambda _self: can)
    assert browser.get("/self/payout").status_code == 404
    assert "/self/payout" not in browser.get("/self/services").text
