"""`python -m bench.scale`: what one account costs among a thousand, and among a million.

Two campuses that differ in size alone (`bench/scale_fill.py`) stand in one PostgreSQL on disk, with
every write made safe as in production. What bot and portal read of a random account is timed in turn,
one call here and one there, after as many calls on each that do not count. Then reports are sent to
the large one, and a sample of its accounts must still fit together in every byte and fen. Last, the
server is started again with nothing in memory, and reads the first balances from the disk.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bench.ingest import counted_bytes
from bench.measure import percentile
from bench.own_postgres import own_postgres
from bench.report import machine
from bench.scale_check import contradictions
from bench.scale_compare import HEADING, SEED, compare
from bench.scale_fill import NOW, fill, noon
from bench.scale_reads import READS, Campus
from bench.scale_server import indexes_mb, look_at_everybody, records_kept, sequential_scans, tables_mb
from bench.sending import BATCH, WRITERS, Plan, send
from models import schema
from models.db.engine import Database
from tests.postgres import PostgresServer

SMALL = 1000
LARGE = 1_000_000
RECORDS_EACH = 10
CALLS = 2000
COLD_CALLS = 100
SAMPLE = 300
SENDING_ACCOUNTS = 20_000
SENT_RECORDS = 100_000
# Filling can begin anew after a power cut, what is measured must survive one.
FILLING = (
    "listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off",
    "max_wal_size=16GB", "shared_buffers=2GB", "work_mem=256MB", "maintenance_work_mem=512MB",
)  # fmt: skip
# Otherwise as PostgreSQL comes.
SERVING = ("listen_addresses=", "shared_buffers=4GB")


def main() -> None:
    """Fill, measure, send, check; ends with rows `name: value`."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL, help="accounts of the small campus")
    parser.add_argument("--large", type=int, default=LARGE, help="accounts of the large campus")
    parser.add_argument("--records-each", type=int, default=RECORDS_EACH, help="reports of each account")
    parser.add_argument("--calls", type=int, default=CALLS, help="timed calls of each read on each campus")
    parser.add_argument("--send", type=int, default=SENT_RECORDS, help="reports sent to the large campus")
    parser.add_argument("--folder", type=Path, default=Path("var"), help="where the database files lie")
    parser.add_argument("--url", help="a database for the large campus; filled where it is empty")
    parser.add_argument("--small-url", help="the same for the small one, on the same server")
    given = parser.parse_args()
    print(machine())
    if given.url:
        _measure({"small": given.small_url, "large": given.url}, given, None)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    with own_postgres(given.folder.resolve(), FILLING) as server:
        urls = {name: server.url(server.create()) for name in ("small", "large")}
        _fill(urls, given)
        server.stop()
        server.settings = SERVING
        server.start()
        _measure(urls, given, server.pid())
        _cold(urls, given, server)


def _fill(urls: dict[str, str], given: argparse.Namespace) -> None:
    for name, url in urls.items():
        with _campus(url, getattr(given, name)) as campus:
            if schema.current(campus.database) is None:
                started = time.perf_counter()
                fill(campus.database, accounts=campus.accounts, records=campus.accounts * given.records_each)
                print(f"filled {name} in {time.perf_counter() - started:.0f} s", flush=True)


@contextmanager
def _campus(url: str, accounts: int) -> Iterator[Campus]:
    database = Database(url)
    yield Campus(database, accounts)
    database.dispose()


def _measure(urls: dict[str, str], given: argparse.Namespace, server_pid: int | None) -> None:
    _fill(urls, given)
    with _campus(urls["large"], given.large) as large:
        rows = [f"scale_accounts: {given.large}", f"scale_usage_records: {records_kept(large.database)}"]
        rows += [*tables_mb(large.database), *indexes_mb(large.database)]
    with _campus(urls["small"], given.small) as small, _campus(urls["large"], given.large) as large:
        for campus in (small, large):
            look_at_everybody(campus.database)
        scanned = sequential_scans(large.database)
        print(HEADING)
        for name in READS:
            rows += compare(name, small, large, given.calls)
    with _campus(urls["large"], given.large) as large:
        rows.append(f"scale_sequential_scans: {sequential_scans(large.database) - scanned}")
        rows += _ingest(large, given, server_pid)
        wrong = _wrong(large)
    rows.append(f"scale_accounts_wrong: {len(wrong)}")
    print(*wrong, *rows, sep="\n", flush=True)
    if wrong:
        sys.exit(1)


def _ingest(campus: Campus, given: argparse.Namespace, server_pid: int | None) -> list[str]:
    plan = Plan(
        numbers=range(0, campus.accounts, max(1, campus.accounts // SENDING_ACCOUNTS)),
        records=given.send,
        batch=BATCH,
        writers=WRITERS,
        began_at=NOW - timedelta(hours=12),
        clock=noon,
    )
    before_bytes = counted_bytes(campus.database)
    campus.database.dispose()  # the senders are copies of this process
    sent = send(campus.database.url, plan, server_pid=server_pid)
    wrong_bytes = counted_bytes(campus.database) - before_bytes - sent.bytes
    return [f"scale_ingest_bytes_wrong: {wrong_bytes}", *sent.lines("scale_ingest")]


def _wrong(campus: Campus) -> list[str]:
    dice = random.Random(SEED)
    with campus.database.reading() as session:
        return [line for _ in range(SAMPLE) for line in contradictions(session, campus.anybody(dice))]


def _cold(urls: dict[str, str], given: argparse.Namespace, server: PostgresServer) -> None:
    if not hasattr(os, "posix_fadvise"):
        return
    server.stop()
    _forget(server.folder)
    server.start()
    dice = random.Random(SEED)
    with _campus(urls["large"], given.large) as campus:
        took_ms = []
        for _ in range(COLD_CALLS):
            account_no = campus.anybody(dice)
            started = time.perf_counter()
            campus.billing.balance(account_no)
            took_ms.append((time.perf_counter() - started) * 1000)
    took_ms.sort()
    print(f"scale_cold_balance_p50_ms: {percentile(took_ms, 0.5):.2f}")
    print(f"scale_cold_balance_p99_ms: {percentile(took_ms, 0.99):.2f}")


def _forget(folder: Path) -> None:
    # Only what is on the disk can be dropped from memory.
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
