"""A payout against a refund, a purchase and two workers at one barrier: the account pays out once."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import func, select

from app.worker import Worker
from billing.embedded import ledger, seed
from billing.embedded.withdrawal import OWED
from models.counter import Way
from models.errors import ServiceError
from models.ledger import Account, Posting
from models.payout import PartStatus, PayoutPart
from models.values.actor import Actor
from payments import credit
from payments.audit.invariants import conservation
from payments.counter import desk as counter
from payments.outcome import Done
from payments.payouts import approval as payouts
from payments.payouts import delivery as payout_delivery
from payments.refunds import approval as refunds
from payments.refunds import delivery as refund_delivery
from tests.models_of_money.world import ACCOUNTS
from tests.races.conftest import Desk
from tests.races.meeting import together

pytestmark = pytest.mark.postgres

ANNA, BERT, CARL = Actor("anna"), Actor("bert"), Actor("carl")
AMOUNT_FEN = 2000
ROUNDS = 4


def worker(desk: Desk) -> Worker:
    deliveries = {
        "credit": credit.deliver,
        "refund": refund_delivery.deliver,
        "payout": payout_delivery.deliver,
        "message": lambda _services, _held: Done(),
    }
    return Worker(desk.services, deliveries, wait=lambda _seconds: None)


def work(desk: Desk, rounds: int = 50) -> None:
    one = worker(desk)
    for _ in range(rounds):
        if not one.run_once():
            return


def send_back(desk: Desk, order_no: str, amount_fen: int) -> None:
    asked = refunds.request(
        desk.services, order_no=order_no, amount_fen=amount_fen, reason="退费", actor=ANNA
    )
    refunds.approve(desk.services, out_refund_no=asked.out_refund_no, actor=BERT)


def test_an_account_pays_out_once_whatever_happens_at_the_same_moment(desk: Desk) -> None:
    services, account_no = desk.services, ACCOUNTS[0]
    with desk.database.transaction() as session:
        seed.seed_catalogue(session)
    for number in range(ROUNDS):
        booked = counter.take(
            services,
            clerk=ANNA,
            receipt_no=f"R{number:04d}",
            account_no=account_no,
            name="测试",
            amount_fen=AMOUNT_FEN,
            way=Way.CASH,
        )
        work(desk)
        asked = payouts.request(
            services,
            account_no=account_no,
            payee="测试",
            actor=ANNA,
            bank_name="某某银行",
            bank_account="6222000012345678",
        )
        assert booked.order is not None
        answers = together(
            partial(payouts.approve, services, payout_no=asked.payout_no, actor=BERT),
            partial(payouts.approve, services, payout_no=asked.payout_no, actor=CARL),
            partial(send_back, desk, booked.order.order_no, (500, AMOUNT_FEN)[number % 2]),
            partial(services.billing.exchange, account_no, "P05", key=f"t{number}", price_fen=500),
            partial(work, desk, 3),
            partial(work, desk, 3),
        )
        unnamed = [a for a in answers if isinstance(a, Exception) and not isinstance(a, ServiceError)]
        assert unnamed == []
        assert sum(not isinstance(answer, Exception) for answer in answers[:2]) <= 1
        desk.counterpart.clock.advance(700)
        work(desk)
        waiting = payouts.look(services, asked.payout_no)
        if waiting.status == "REQUESTED":
            payouts.reject(services, payout_no=asked.payout_no, actor=BERT)
    assert desk.findings() == []
    with services.reading() as session:
        assert ledger.wrong_balances(session) == []
        sums = conservation(session)
        withdrawn = select(func.sum(PayoutPart.amount_fen)).where(PayoutPart.status == PartStatus.WITHDRAWN)
        out_fen = int(session.scalar(withdrawn) or 0)
        books = dict(
            session.execute(select(Posting.book, func.sum(Posting.amount_fen)).group_by(Posting.book)).all()
        )
        balance_fen = session.get_one(Account, account_no).balance_fen
    assert sums.missing_fen == 0
    assert int(books.get(OWED, 0)) == out_fen
    spent_fen = int(books.get("income:packages", 0))
    back_fen = sums.refunded_fen + sums.in_flight_fen + sums.review_fen
    assert balance_fen + spent_fen + out_fen + back_fen == ROUNDS * AMOUNT_FEN
