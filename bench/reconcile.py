"""`python -m bench.reconcile`: a day of a million payments with every kind of difference hidden in it.

Three lines come last: rows, peak memory of the whole process, and the time compared with reading the
same file with `csv`, both measured here. Processor time is compared, which hardly depends on neighbours;
the middle of some rounds, each on a fresh copy of our books, because a machine's speed changes, too.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from statistics import median
from typing import cast

from bench import reconcile_day
from billing import registry
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.site import Contact, RechargeRules, Site
from models.statement import Difference
from payments.reconcile import daily as reconcile
from payments.reconcile.runs import differences_of
from payments.services import Services
from payments.wechatpay.client import Trade, WechatPay
from payments.wechatpay.errors import RefundNotFound, TradeNotFound

ROWS = 1_000_000
SEED = 7
ROUNDS = 3


class NoWechat:
    """Knows no order: whatever is asked about was never placed."""

    app_id = reconcile_day.APP_ID
    mch_id = reconcile_day.MCH_ID

    def query(self, out_trade_no: str) -> Trade:
        """Never placed."""
        raise TradeNotFound("ORDERNOTEXIST", out_trade_no, "")

    def query_refund(self, out_refund_no: str) -> Trade:
        """Never accepted."""
        raise RefundNotFound("RESOURCENOTEXISTS", out_refund_no, "")


def main() -> None:
    """Make the day in a process of its own, then measure in this one."""
    parser = argparse.ArgumentParser(prog="python -m bench.reconcile", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        _make(given.make, given.rows, given.seed)
        return
    with tempfile.TemporaryDirectory(prefix="campusnet-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "bench.reconcile", "--rows", str(given.rows), "--seed"]
        subprocess.run([*command, str(given.seed), "--make", name], check=True)
        _measure(folder, given.rows, given.rounds)


def _make(folder: Path, rows: int, seed: int) -> None:
    reconcile_day.write_database(folder / "day.db", rows, seed)
    hidden = reconcile_day.write_bill(folder / "bill.csv", rows, seed)
    (folder / "hidden.json").write_text(json.dumps(hidden), encoding="utf-8")


def _measure(folder: Path, rows: int, rounds: int) -> None:
    hidden = {(kind, key) for kind, key in json.loads((folder / "hidden.json").read_text(encoding="utf-8"))}
    ratios, missed, invented = [], set[tuple[str, str]](), set[tuple[str, str]]()
    for _ in range(rounds):
        ratio, found = _round(folder)
        ratios.append(ratio)
        missed |= hidden - found
        invented |= found - hidden
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    for kind, key in sorted(missed | invented)[:20]:
        print(f"{'missed' if (kind, key) in missed else 'invented'}: {kind} {key}")
    print(f"reconcile_hidden: {len(hidden)}")
    print(f"reconcile_missed: {len(missed)}")
    print(f"reconcile_invented: {len(invented)}")
    print(f"reconcile_rows: {rows}")
    print(f"reconcile_peak_mb: {peak_mb:.0f}")
    print(f"reconcile_vs_csv: {median(ratios):.2f}")


def _round(folder: Path) -> tuple[float, set[tuple[str, str]]]:
    """Reconcile the day once. Returns: its time in times of `csv`, and what was found."""
    bill = folder / "bill.csv"
    before = _timed(lambda: _read_csv(bill))
    services = _services(Database(f"sqlite:///{shutil.copy(folder / 'day.db', folder / 'round.db')}"))
    cpu_s, wall_s = _timed(lambda: reconcile.run_file(services, reconcile_day.ON, bill))
    # Read before and after: the machine may be faster at one moment than at another.
    after = _timed(lambda: _read_csv(bill))
    csv_cpu_s, csv_s = (sum(pair) / 2 for pair in zip(before, after, strict=True))
    found = {_hidden(difference) for difference in _differences(services)}
    services.database.dispose()
    ratio = cpu_s / csv_cpu_s
    print(
        f"csv: {csv_s:.1f} s ({csv_cpu_s:.1f} s of processor), bill {bill.stat().st_size / 1e6:.0f} MB; "
        f"reconcile: {wall_s:.1f} s ({cpu_s:.1f} s of processor); {ratio:.2f}",
        flush=True,
    )
    return ratio, found


def _read_csv(path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _row in csv.reader(file):
            pass


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor, system calls included, and of the clock."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def _services(database: Database) -> Services:
    on = reconcile_day.ON
    morning = datetime(on.year, on.month, on.day, 10, 10, tzinfo=CAMPUS_ZONE) + timedelta(days=1)

    def clock() -> datetime:
        return morning

    return Services(
        database=database,
        clock=clock,
        billing=registry.build("embedded", database=database, clock=clock),
        pay=cast("WechatPay", NoWechat()),
        rules=RechargeRules((500,), 100, 50_000, 100, 200_000, 1800),
        site=Site("", "", "", (ip_network("10.0.0.0/8"),), Contact("", "", "", "", 9, 18)),
        wake=lambda: None,
    )


def _differences(services: Services) -> list[Difference]:
    with services.reading() as session:
        return list(differences_of(session, reconcile_day.ON))


def _hidden(difference: Difference) -> tuple[str, str]:
    return str(difference.kind), difference.key


if __name__ == "__main__":
    main()
