"""Whatever clerks, operators and students do in whatever order, every fen is somewhere and only once."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from sqlalchemy import func, select

from models.counter import CounterBooking, ReturnItem, Way
from models.db.engine import Database
from models.errors import ServiceError
from models.ledger import Posting
from models.order import Order
from models.payout import PartStatus, PayoutPart
from payments.audit.invariants import conservation
from payments.counter import returns as counter_returns
from payments.payouts import approval as payouts
from payments.payouts import transfer_list as payout_list
from payments.refunds import approval as refunds
from tests.payments.counter.till import ANNA, BERT, LI, WANG, Till

STEPS = 60


class Day:
    """Random people at work; what cannot be done is refused and changes nothing."""

    def __init__(self, till: Till, dice: random.Random) -> None:
        self.till = till
        self.dice = dice
        self.spent_fen = 0

    def step(self) -> None:
        acts = (self.book, self.book, self.ask, self.decide, self.hand_back, self.spend, self.pay_out)
        with suppress(ServiceError):
            self.dice.choice((*acts, self.bank, self.till.work, self.till.later))()

    def book(self) -> None:
        person = self.dice.choice((LI, WANG))
        transfer = self.dice.random() < 0.3
        self.till.take(
            f"A{self.dice.randrange(40):04d}",
            clerk=self.dice.choice((ANNA, BERT)),
            account_no=person.account_no,
            name=person.name,
            amount_fen=self.dice.choice((500, 1000, 2000, 501)),
            way=Way.TRANSFER if transfer else Way.CASH,
            reference=f"B{self.dice.randrange(20):06d}" if transfer else None,
        )

    def ask(self) -> None:
        with self.till.database.reading() as session:
            found = list(session.scalars(select(Order.order_no)))
        refunds.request(
            self.till.services,
            order_no=self.dice.choice(found or ["r0"]),
            amount_fen=self.dice.choice((500, 1000, 300)),
            reason="记错",
            actor=ANNA,
        )

    def decide(self) -> None:
        for refund, _ in refunds.newest(self.till.services, waiting=True):
            refunds.approve(self.till.services, out_refund_no=refund.out_refund_no, actor=BERT)

    def hand_back(self) -> None:
        for item in counter_returns.open_items(self.till.services):
            counter_returns.give_back(
                self.till.services, return_no=item.return_no, clerk=BERT, evidence="签收单 1"
            )

    def spend(self) -> None:
        taken = self.dice.choice((300, 800))
        self.till.spend(LI.account_no, taken, key=f"s{self.dice.getrandbits(60)}")
        self.spent_fen += taken

    def pay_out(self) -> None:
        person = self.dice.choice((LI, WANG))
        for view in payouts.newest(self.till.services, waiting=True):
            payouts.approve(self.till.services, payout_no=view.payout_no, actor=BERT)
        payouts.request(
            self.till.services,
            account_no=person.account_no,
            payee=person.name,
            actor=ANNA,
            bank_name="某某银行",
            bank_account="6222000012345678",
        )

    def bank(self) -> None:
        payout_list.make_list(self.till.services, actor=BERT)
        with self.till.database.reading() as session:
            listed = list(
                session.scalars(select(PayoutPart.part_no).where(PayoutPart.status == PartStatus.LISTED))
            )
        for part_no in listed:
            if self.dice.random() < 0.3:
                payout_list.mark_failed(self.till.services, part_no=part_no, actor=BERT, reason="x")
            else:
                payout_list.mark_paid(self.till.services, part_no=part_no, actor=BERT)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_every_fen_is_somewhere_and_only_once(sqlite_database: Database, seed: int) -> None:
    till = Till(sqlite_database)
    day = Day(till, random.Random(seed))
    for _ in range(STEPS):
        day.step()
        till.check_books()
    for _ in range(6):
        till.later()
    till.check_books()
    booked, back = sums(till)
    with till.database.reading() as session:
        money = conservation(session)
        assert money.missing_fen == 0
        assert money.counter_fen == money.paid_fen == booked
        assert not session.scalar(select(func.sum(Posting.amount_fen)))
        withdrawn = session.scalar(
            select(func.sum(Posting.amount_fen)).where(Posting.book == "clearing:payouts")
        )
    in_accounts = till.balance_fen() + till.balance_fen(WANG.account_no)
    # What came in is with the students, spent, paid out, handed back or owed, or waits for a person.
    credited = in_accounts + day.spent_fen + int(withdrawn or 0)
    assert booked == credited + back + money.review_fen


def sums(till: Till) -> tuple[int, int]:
    """Fen booked as orders; fen of refunds that were handed back or are still owed by the counter."""
    booked = select(func.sum(CounterBooking.amount_fen)).where(CounterBooking.order_id.is_not(None))
    back = select(func.sum(ReturnItem.amount_fen)).where(ReturnItem.refund_id.is_not(None))
    with till.database.reading() as session:
        return int(session.scalar(booked) or 0), int(session.scalar(back) or 0)
