"""What bot and portal read of one account, each as one call that can be timed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select

from bench.scale_fill import MANY_EVERY, MANY_REST, noon, openid_of
from bench.sending import account_of
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.ledger import book_of
from models.db.engine import Database
from models.ledger import Posting
from models.notice import latest_notices
from models.person import look_up_bound_account
from web.paging import PAGE
from web.portal.overview import NOTICES_SHOWN
from web.portal.usage import DAYS

DEEP_PAGES = 9

Call = Callable[[], Any]


@dataclass(frozen=True)
class Campus:
    """A filled database."""

    database: Database
    accounts: int

    @property
    def billing(self) -> EmbeddedBilling:
        """The engine on it, at noon."""
        return EmbeddedBilling(self.database, noon)

    def anybody(self, dice: random.Random) -> str:
        """Some account."""
        return account_of(dice.randrange(self.accounts))


def _balance(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.balance, campus.anybody(dice))


def _bot(campus: Campus, dice: random.Random) -> Call:
    openid = openid_of(dice.randrange(campus.accounts // 5) * 5 + dice.randrange(3))

    def read() -> Any:
        account_no = look_up_bound_account(campus.database, openid)
        if account_no is None:
            raise LookupError(openid)
        return campus.billing.balance(account_no)

    return read


def _overview(campus: Campus, dice: random.Random) -> Call:
    account_no = campus.anybody(dice)

    def read() -> Any:
        balance = campus.billing.balance(account_no)
        with campus.database.reading() as session:
            return balance, latest_notices(session, noon(), limit=NOTICES_SHOWN)

    return read


def _usage(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.usage, campus.anybody(dice), days=DAYS)


def _sessions(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.sessions, campus.anybody(dice), limit=PAGE + 1)


def _swaps(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.exchange_log, campus.anybody(dice), limit=PAGE + 1)


def _statement(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.statement, campus.anybody(dice), limit=PAGE + 1)


def _many(campus: Campus, dice: random.Random) -> str:
    return account_of(dice.randrange(campus.accounts // MANY_EVERY) * MANY_EVERY + MANY_REST)


def _statement_many(campus: Campus, dice: random.Random) -> Call:
    return partial(campus.billing.statement, _many(campus, dice), limit=PAGE + 1)


def _statement_deep(campus: Campus, dice: random.Random) -> Call:
    account_no = _many(campus, dice)
    place = select(Posting.id).where(Posting.book == book_of(account_no)).order_by(Posting.id.desc())
    with campus.database.reading() as session:
        before = session.scalar(place.offset(PAGE * DEEP_PAGES).limit(1))
    return partial(campus.billing.statement, account_no, before=before, limit=PAGE + 1)


# name -> what prepares one call of a random account; preparing is not timed
READS: dict[str, Callable[[Campus, random.Random], Call]] = {
    "balance": _balance,
    "bot_balance": _bot,
    "overview": _overview,
    "usage_days": _usage,
    "sessions_page": _sessions,
    "swap_log": _swaps,
    "statement": _statement,
    "statement_of_many": _statement_many,
    "statement_deep": _statement_deep,
}
