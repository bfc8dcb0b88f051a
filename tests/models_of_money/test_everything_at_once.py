"""Everything that moves money happens at once on one account, on PostgreSQL; afterwards each fen is found.

People pay, book counter money, refund, buy and pay out, while four workers with wrong clocks and short leases
work against a WeChat Pay and a billing engine that refuse connections, lose answers and are slower than a
lease. `CAMPUSNET_RACE_SECONDS` says how long the long version races (default 30). `CAMPUSNET_SEED` repeats
the random numbers of a run, which are shown at its end; the order of the threads is the machine's.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from billing.embedded import ledger
from billing.embedded.exchange import INCOME
from models.db.engine import Database
from models.ledger import Account, Entry, Posting
from models.order import Credit, CreditStatus, PaymentFact
from models.outbox import Lane, OutboxItem, OutboxStatus
from models.payout import PartWay, PayoutPart
from models.refund import Refund, RefundStatus
from models.review import ReviewItem, ReviewStatus
from payments.audit import hash_chain
from payments.audit.invariants import check, conservation, money_by_payment
from payments.audit.late_calls import LATE_CREDITS
from payments.confirm import COUNTER
from payments.payouts.books import TAKEN
from sandbox.credentials import Credentials
from sandbox.pay.orders import SUCCESS
from tests.models_of_money.race import ACCOUNT, ENOUGH, Race

SEED = os.environ.get("CAMPUSNET_SEED")
SECONDS = 4.0
LONG_SECONDS = float(os.environ.get("CAMPUSNET_RACE_SECONDS", "30"))
COMMITS = pytest.mark.parametrize(
    "lost_commits",
    [pytest.param(0.0, id="calm commits"), pytest.param(0.03, id="lost commit answers")],
)
Record = Callable[[str, object], None]


@pytest.fixture
def race_for(
    postgres_database: Database,
    credentials: Credentials,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> Callable[[float, float], None]:
    """Race for so many seconds, with this probability of a lost commit; then look for every fen."""

    def run(seconds: float, lost_commits: float) -> None:
        number = int(SEED or random.SystemRandom().randrange(2**32))
        record_property("CAMPUSNET_SEED", number)
        race = Race(postgres_database, credentials, monkeypatch, number, lost_commits)
        try:
            race.run(seconds)
            if race.unexpected:
                pytest.fail("\n".join(race.unexpected[:3]))
            race.drain()
            record_property("done", race.work_done())
            with postgres_database.reading() as session:
                check_all(session, race)
        finally:
            race.close()

    return run


@pytest.mark.postgres
@COMMITS
def test_everything_at_once_loses_no_fen(
    race_for: Callable[[float, float], None], lost_commits: float
) -> None:
    race_for(SECONDS, lost_commits)


@pytest.mark.long
@pytest.mark.postgres
@COMMITS
def test_everything_at_once_for_longer_loses_no_fen(
    race_for: Callable[[float, float], None], lost_commits: float
) -> None:
    race_for(LONG_SECONDS, lost_commits)


def check_all(session: Session, race: Race) -> None:
    check_books(session, race)
    check_credits(session)
    check_platform(session, race)
    check_every_fen(session)
    check_questions(session)
    check_outbox(session)
    assert min(race.work_done().values()) >= ENOUGH, race.work_done()


def check_books(session: Session, race: Race) -> None:
    """No rule of the project is broken, each entry sums to zero, and the journal is as it was written."""
    assert check(session) == []
    assert ledger.wrong_balances(session) == []
    assert conservation(session).missing_fen == 0
    unequal = select(Posting.entry_id).group_by(Posting.entry_id).having(func.sum(Posting.amount_fen) != 0)
    assert session.scalars(unequal).all() == []
    assert sum(books_of(session).values()) == 0
    assert list(hash_chain.verify(session, race.clock.now())) == []


def check_credits(session: Session) -> None:
    """The ledger has one entry for each credit that arrived, and none for any other."""
    arrived = select(Credit.credit_no, Credit.amount_fen).where(
        Credit.status.in_((CreditStatus.CREDITED, *LATE_CREDITS))
    )
    written = (
        select(Entry.key, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind == ledger.CREDIT, Posting.book == ledger.book_of(ACCOUNT))
    )
    expected = Counter((ledger.credit_key(key), fen) for key, fen in session.execute(arrived))
    assert Counter((key, fen) for key, fen in session.execute(written)) == expected
    assert set(expected.values()) == {1}


def check_platform(session: Session, race: Race) -> None:
    """WeChat Pay took and gave back exactly what we believe, number by number."""
    taken = select(PaymentFact.out_trade_no, PaymentFact.amount_fen).where(PaymentFact.provider != COUNTER)
    given = select(Refund.out_refund_no, Refund.amount_fen).where(
        Refund.status == RefundStatus.SUCCESS, Refund.origin != COUNTER
    )
    trades = [trade.request for trade in race.platform.book.all() if trade.transaction_id]
    ended = [refund.request for refund in race.platform.refunds.all() if refund.status == SUCCESS]
    assert pairs(session, taken) == {trade.out_trade_no: trade.amount_fen for trade in trades}
    assert pairs(session, given) == {refund.out_refund_no: refund.amount_fen for refund in ended}
    assert len(ended) == len(race.platform.refunds.all())


def check_every_fen(session: Session) -> None:
    """What came in went out, was spent, is on the account, or waits for somebody: to the fen."""
    sums = conservation(session)
    by_bank = select(PayoutPart.amount_fen).where(
        PayoutPart.way == PartWay.BANK, PayoutPart.status.in_(TAKEN)
    )
    late = select(Credit.amount_fen).where(Credit.status.in_(LATE_CREDITS))
    placed = {
        "given back": total(session, select(Refund.amount_fen).where(Refund.status == RefundStatus.SUCCESS)),
        "by bank": total(session, by_bank),
        "spent": books_of(session).get(INCOME, 0),
        "balance": session.get_one(Account, ACCOUNT).balance_fen,
        "credited too late": -total(session, late),
        "in review": sums.review_fen,
        "in flight": sums.in_flight_fen,
    }
    assert sum(placed.values()) == total(session, select(PaymentFact.amount_fen)), placed


def check_questions(session: Session) -> None:
    """An open item asks about each payment that has money in review; nothing was written off here."""
    payments = money_by_payment().subquery()
    in_review = set(session.scalars(select(payments.c.order_id).where(payments.c.review > 0)))
    asked = select(ReviewItem.order_id).where(ReviewItem.status != ReviewStatus.CLOSED)
    assert in_review <= set(session.scalars(asked))


def check_outbox(session: Session) -> None:
    """All work on money is done, or parked with an open item that names it."""
    unfinished = select(OutboxItem).where(
        OutboxItem.lane == Lane.MONEY, OutboxItem.status != OutboxStatus.DONE
    )
    asked: set[str] = set()
    for item in session.scalars(select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED)):
        asked |= {item.key, *(str(value) for value in item.facts.values())}
    left = [
        (item.kind, item.key, item.status, item.last_error)
        for item in session.scalars(unfinished)
        if item.status != OutboxStatus.PARKED or not asked & {item.key, f"{item.kind}:{item.key}"}
    ]
    assert left == []


def books_of(session: Session) -> Mapping[str, int]:
    return pairs(session, select(Posting.book, func.sum(Posting.amount_fen)).group_by(Posting.book))


def pairs(session: Session, query: Select[str, int]) -> dict[str, int]:
    return {name: int(fen) for name, fen in session.execute(query)}


def total(session: Session, amounts: Select[int]) -> int:
    return sum(session.scalars(amounts))
