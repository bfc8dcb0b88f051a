"""The campus of the scale benchmark is one that engine and ledger could have left; its readers find it."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import update

from bench.scale_check import contradictions
from bench.scale_fill import fill
from bench.scale_reads import READS, Campus
from bench.scale_server import records_kept
from models.db.engine import Database
from models.package import TrafficLot

# Every kind of account is among them: the rarest is one in a thousand.
ACCOUNTS, RECORDS_EACH = 1000, 10

pytestmark = [pytest.mark.postgres, pytest.mark.long]


@pytest.fixture
def campus(postgres_database: Database) -> Campus:
    fill(postgres_database, accounts=ACCOUNTS, records=ACCOUNTS * RECORDS_EACH)
    return Campus(postgres_database, ACCOUNTS)


def test_the_filled_campus_fits_together_and_every_read_finds_it(campus: Campus) -> None:
    dice = random.Random(1)
    assert records_kept(campus.database) == ACCOUNTS * RECORDS_EACH
    with campus.database.reading() as session:
        asked = [campus.anybody(dice) for _ in range(60)]
        assert [line for account_no in asked for line in contradictions(session, account_no)] == []
    for name in READS:
        READS[name](campus, dice)()


def test_what_does_not_fit_is_told(campus: Campus) -> None:
    account_no = campus.anybody(random.Random(1))
    with campus.database.transaction() as session:
        changed = update(TrafficLot).where(TrafficLot.account_no == account_no)
        session.execute(changed.values(used_bytes=TrafficLot.used_bytes + 1))
    with campus.database.reading() as session:
        assert list(contradictions(session, account_no))
