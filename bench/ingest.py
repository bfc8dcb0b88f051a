"""`python -m bench.ingest`: how many accounting records are counted in a second, on PostgreSQL.

Signed batches go through the whole way in, as `POST /billing/accounting` calls it: signature, JSON,
checks, one transaction for each batch. Several processes send at once. One record in a hundred comes
late, one in a hundred comes twice. In the end the books must hold every byte, once.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from sqlalchemy import func, insert, select

from bench.own_postgres import own_postgres
from bench.report import machine
from bench.sending import BATCH, WRITERS, Plan, account_of, send
from billing.embedded import seed
from models import schema
from models.clock import utc_now
from models.db.engine import Database
from models.ledger import Account
from models.usage import UsageDay, UsageSample

ACCOUNTS = 20_000
RECORDS = 100_000
QUOTA_BYTES = 200_000_000


def main() -> None:
    """Prepare, send, compare the books; the last line is the figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--url", help="an empty database to use instead of a PostgreSQL of its own")
    given = parser.parse_args()
    print(machine())
    if given.url:
        _measure(given.url, given, None)
        return
    with own_postgres() as server:
        _measure(server.url(server.create()), given, server.pid())


def _measure(url: str, given: argparse.Namespace, server_pid: int | None) -> None:
    database = Database(url)
    _fill(database, given.accounts)
    plan = Plan(
        numbers=range(given.accounts),
        records=given.records,
        batch=given.batch,
        writers=given.writers,
        began_at=utc_now().replace(microsecond=0) - timedelta(hours=12),
        clock=utc_now,
    )
    sent = send(url, plan, server_pid=server_pid)
    with database.reading() as session:
        samples = session.scalar(select(func.count()).select_from(UsageSample))
    wrong_bytes = counted_bytes(database) - sent.bytes
    database.dispose()
    print(f"records sent: {sent.records}, samples kept: {samples}, seconds: {sent.took_s:.1f}")
    print(f"ingest_bytes_wrong: {wrong_bytes}")
    print(*sent.lines("ingest"), sep="\n")
    if wrong_bytes:
        sys.exit(1)


def counted_bytes(database: Database) -> int:
    """What all days of all accounts hold."""
    with database.reading() as session:
        return int(session.scalar(select(func.sum(UsageDay.up_bytes + UsageDay.down_bytes))) or 0)


def _fill(database: Database, accounts: int) -> None:
    schema.upgrade(database)
    now = utc_now()
    with database.transaction() as session:
        seed.seed_grant_policy(session, quota_bytes=QUOTA_BYTES)
        rows = [
            {"account_no": account_of(n), "name": "学生", "kind": "undergraduate", "department": "",
             "active": True, "balance_fen": 0, "created_at": now}
            for n in range(accounts)
        ]  # fmt: skip
        session.connection().execute(insert(Account), rows)


if __name__ == "__main__":
    main()
