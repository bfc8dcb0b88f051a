"""Held accounts: no money goes out of them until a check is clean or two operators release them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models.audit import AccountHold, BookCheckRun
from models.errors import Refused, Unknown
from models.order import Order
from models.payout import PartStatus
from models.refund import RefundStatus
from models.review import ReviewStatus
from models.values.actor import Actor
from payments.audit import book_check, holds
from payments.audit.checks.finding import Finding
from payments.audit.holds import AccountHeld
from payments.counter import returns
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.refunds import approval as refunds
from payments.review import queue as reviews
from tests.payments.audit.book_world import ACCOUNT, BookWorld
from tests.payments.audit.test_book_check import balance_changed
from tests.payments.refunds.refund_world import ANNA, BERT

EVIDENCE = "核对记录 2026-03-11 第 7 号"


def test_an_approved_refund_waits_while_its_account_is_held(books: BookWorld) -> None:
    order_no = books.live()[0]
    number = books.approved(order_no)
    balance_changed(books, order_no)
    books.check()
    books.later()
    assert (books.state(number), books.sent(), books.balance_fen()) == (RefundStatus.APPROVED, 0, 999999)
    with books.intruder() as raw:
        raw.execute("UPDATE account SET balance_fen = 1200 WHERE account_no = ?", (ACCOUNT,))
    assert books.check() == {}
    assert books.held() == set()
    books.later(700)
    assert (books.state(number), books.sent(), books.balance_fen()) == (RefundStatus.PROCESSING, 1, 700)


def test_a_refund_in_doubt_is_not_sent_again_while_its_account_is_held(books: BookWorld) -> None:
    order_no = books.live()[0]
    number = books.approved(order_no)
    books.fault("timeout")
    books.work()
    assert books.state(number) == RefundStatus.UNKNOWN
    balance_changed(books, order_no)
    books.check()
    books.later(7200)
    assert books.sent() == 0


def test_an_approved_payout_waits_while_its_account_is_held(books: BookWorld) -> None:
    books.live()
    books.cash(2000)
    books.seal()
    view = books.agreed()
    balance_changed(books, "")
    books.check()
    books.later()
    bank = [part for part in books.look(view).parts if part.way == "bank"]
    assert [part.state for part in bank] == [PartStatus.WAITING]
    with pytest.raises(AccountHeld):
        books.requested()


def test_a_payout_that_is_withdrawn_stands_on_no_list_while_its_account_is_held(books: BookWorld) -> None:
    books.cash(2000)
    books.seal()
    view = books.agreed()
    books.work()
    assert books.states(view) == [PartStatus.WITHDRAWN]
    balance_changed(books, "")
    books.check()
    assert transfer_list.make_list(books.services, actor=ANNA) is None
    with books.intruder() as raw:
        raw.execute("UPDATE account SET balance_fen = 0 WHERE account_no = ?", (ACCOUNT,))
    books.check()
    assert transfer_list.make_list(books.services, actor=ANNA) is not None


def test_wrong_books_are_dismissed_by_two(books: BookWorld) -> None:
    balance_changed(books, books.live()[0])
    books.check()
    (item,) = books.items()
    assert not reviews.propose(books.services, item.id, action="dismiss", actor=ANNA, evidence=EVIDENCE)
    with pytest.raises(reviews.SecondPersonNeeded):
        reviews.approve(books.services, item.id, actor=ANNA)
    (waiting,) = books.items()
    assert waiting.status == ReviewStatus.PROPOSED
    reviews.approve(books.services, item.id, actor=BERT)
    (closed,) = books.items()
    assert (closed.status, closed.outcome) == (ReviewStatus.CLOSED, "dismiss")


def test_two_operators_release_a_hold_and_the_same_finding_does_not_come_back(books: BookWorld) -> None:
    order_no = books.live()[0]
    balance_changed(books, order_no)
    books.check()
    (item,) = books.items()
    reviews.propose(books.services, item.id, action="release-hold", actor=ANNA, evidence=EVIDENCE)
    with pytest.raises(reviews.SecondPersonNeeded):
        reviews.approve(books.services, item.id, actor=ANNA)
    assert books.held() == {ACCOUNT}
    reviews.approve(books.services, item.id, actor=BERT)
    books.night()
    assert (books.held(), len(books.items())) == (set(), 1)
    with books.database.reading() as session:
        (hold,) = session.scalars(select(AccountHold))
        assert (hold.released_by, hold.approved_by, hold.evidence) == (ANNA.name, BERT.name, EVIDENCE)
        assert session.scalars(select(BookCheckRun.failures).order_by(BookCheckRun.id.desc())).first() == 0
    refunds.approve(books.services, out_refund_no=books.asked(order_no), actor=BERT)
    # Another amount is another finding: it was not what the two had looked at.
    with books.intruder() as raw:
        raw.execute("UPDATE account SET balance_fen = 5000000 WHERE account_no = ?", (ACCOUNT,))
    books.check()
    assert (books.held(), len(books.items())) == ({ACCOUNT}, 2)


def test_a_finding_asks_once_however_often_it_is_seen(books: BookWorld) -> None:
    balance_changed(books, books.live()[0])
    for _ in range(3):
        books.night()
    assert len(books.items()) == 1


def test_a_finding_that_comes_back_asks_again(books: BookWorld) -> None:
    books.live()
    for _ in range(2):
        balance_changed(books, "")
        books.check()
        with books.intruder() as raw:
            raw.execute("UPDATE account SET balance_fen = 1200 WHERE account_no = ?", (ACCOUNT,))
        books.check()
    assert (books.held(), len(books.items())) == (set(), 2)


def test_a_payout_that_waits_for_approval_is_not_approved_while_its_account_is_held(books: BookWorld) -> None:
    books.cash(2000)
    books.seal()
    number = books.requested().payout_no
    # Nothing is wrong with the amount: only the hold speaks against it.
    hold(books, ACCOUNT)
    with pytest.raises(AccountHeld):
        payouts.approve(books.services, payout_no=number, actor=BERT)
    books.check()
    payouts.approve(books.services, payout_no=number, actor=BERT)


def test_a_payout_in_doubt_is_not_sent_again_while_its_account_is_held(books: BookWorld) -> None:
    books.cash(2000)
    books.seal()
    view = books.agreed()
    books.billing.faults_of = {"withdraw": [("before", Unknown("no answer"))]}
    books.work()
    assert books.states(view) == [PartStatus.UNKNOWN]
    hold(books, ACCOUNT)
    books.later(7200)
    assert (books.balance_fen(), "WITHDRAWN" in books.states(view)) == (2000, False)
    books.check()
    books.later(7200)
    assert (books.balance_fen(), books.states(view)) == (0, [PartStatus.WITHDRAWN])


def test_cash_is_not_handed_back_while_its_account_is_held(books: BookWorld) -> None:
    books.cash(2000)
    with books.database.reading() as session:
        order_no = session.scalars(select(Order.order_no)).one()
    number = books.approved(order_no, 2000)
    books.work()
    hold(books, ACCOUNT)
    with pytest.raises(AccountHeld):
        returns.give_back(books.services, return_no=number, clerk=BERT, evidence="签收单 12")
    books.check()
    returns.give_back(books.services, return_no=number, clerk=BERT, evidence="签收单 12")


@pytest.mark.parametrize(("first", "second"), [("anna", " Anna"), ("anna", "anna（财务）")])
def test_one_operator_under_two_spellings_releases_nothing(books: BookWorld, first: str, second: str) -> None:
    hold(books, ACCOUNT)
    for proposed, approved, evidence in (
        (Actor(first), Actor(second), EVIDENCE),
        (Actor(first), Actor.system(), EVIDENCE),
        (Actor(first), BERT, " "),
    ):
        with pytest.raises(Refused), books.database.transaction() as session:
            holds.release(
                session,
                "balances",
                None,
                proposed_by=proposed,
                approved_by=approved,
                evidence=evidence,
                now=books.clock.now(),
            )
    assert books.held() == {ACCOUNT}


def hold(books: BookWorld, account_no: str) -> None:
    """As a check holds it that found something; the next one finds nothing."""
    with pytest.MonkeyPatch.context() as patch:
        wrong = Finding("balances", account_no, "wrong", (account_no,))
        patch.setattr(book_check, "_all", lambda _services, _lines: iter([wrong]))
        book_check.run(books.services)
    assert books.held() == {account_no}
