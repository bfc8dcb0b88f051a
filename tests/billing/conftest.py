from __future__ import annotations

import pytest

from billing.embedded.accounts import open_account
from billing.embedded.engine import EmbeddedBilling
from models.db.engine import Database
from tests.billing.fixed_clock import FixedClock


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def billing(any_database: Database, clock: FixedClock) -> EmbeddedBilling:
    """The engine over a database with the accounts A1 and A2, no policy and no package."""
    with any_database.transaction() as session:
        open_account(session, account_no="A1", name="李小明", kind="undergraduate", now=clock())
        open_account(session, account_no="A2", name="王芳", kind="staff", now=clock())
    return EmbeddedBilling(any_database, clock)
