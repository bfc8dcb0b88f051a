"""The billing back ends by the name that `[billing] backend` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing.embedded import entrance, seed
from billing.embedded.accounting import DEAD_LETTER_DAYS, Accounting
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.ingest import Ingested
from billing.embedded.seed import DemoAccount
from billing.embedded.thresholds import crossings
from billing.interface import BillingBackend, Crossing
from models.clock import Clock
from models.db.engine import Database
from models.values.account_no import DEFAULT_RULES, AccountRules

__all__ = [
    "BACKENDS",
    "DemoAccount",
    "NoSuchBackend",
    "accounting",
    "accounting_receiver",
    "build",
    "seed_demo",
    "seed_published",
]

Announce = Callable[[Session, Sequence[Crossing], datetime], None]

EMBEDDED = "embedded"
BACKENDS = (EMBEDDED,)


class NoSuchBackend(Exception):
    """The configuration names a billing back end that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no billing back end {name!r}; there are: {', '.join(BACKENDS)}")


def build(
    name: str, *, database: Database, clock: Clock, account_rules: AccountRules = DEFAULT_RULES
) -> BillingBackend:
    """The back end with this name. Raises: NoSuchBackend."""
    if name == EMBEDDED:
        return EmbeddedBilling(database, clock, account_rules)
    raise NoSuchBackend(name)


def accounting(
    database: Database,
    clock: Clock,
    *,
    interim_s: int,
    dead_letter_days: int = DEAD_LETTER_DAYS,
    announce: Announce | None = None,
    account_rules: AccountRules = DEFAULT_RULES,
) -> Accounting:
    """The way in for accounting records of the embedded engine.

    `announce` is told in the transaction of each batch what its traffic has crossed.
    """

    def tell(session: Session, ingested: Ingested, now: datetime) -> None:
        if announce is not None and (crossed := crossings(session, ingested.taken, now)):
            announce(session, crossed, now)

    return Accounting(
        database,
        clock,
        interim_s=interim_s,
        dead_letter_days=dead_letter_days,
        announce=tell,
        account_rules=account_rules,
    )


def accounting_receiver(taker: Accounting, secret: str, clock: Clock) -> entrance.Receive:
    """The machine entrance for it: headers and raw body in, answers out. See `billing.embedded.entrance`."""
    return entrance.receiver(taker, secret, clock)


def seed_published(database: Database) -> None:
    """Put what the school has published into the embedded engine: the four packages. May run twice."""
    with database.transaction() as session:
        seed.seed_catalogue(session)


def seed_demo(database: Database, accounts: Iterable[DemoAccount], *, now: datetime) -> None:
    """Fill the embedded engine for a demo: packages, a grant marked 示例, accounts. May run twice."""
    with database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session)
        seed.seed_demo_accounts(session, accounts, now)
