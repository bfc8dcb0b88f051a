"""Accounting reports, signed and sent in batches by several processes at once, and what that costs."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench import cpu
from billing.embedded import entrance
from billing.embedded.accounting import Accounting
from models.clock import Clock
from models.db.engine import Database

BATCH = 500
WRITERS = 2
SECRET = "s" * 32
INTERIM_S = 300
STEP_BYTES = 40_000_000
PERCENT = 100
UPLOAD_SHARE = 10
WRAP = 2**32


@dataclass(frozen=True)
class Plan:
    """`records` reports of these accounts in turn, one each five minutes from `began_at` on.

    One record in a hundred comes late, one in a hundred twice.
    """

    numbers: Sequence[int]
    records: int
    batch: int
    writers: int
    began_at: datetime
    clock: Clock


@dataclass(frozen=True)
class Sent:
    """What came of it: records answered, bytes they are worth, seconds by the clock and by processor.

    `batches_s` is sorted; `server_cpu_s` is 0 where nobody knows the server's process.
    """

    records: int
    bytes: int
    took_s: float
    batches_s: list[float]
    senders_cpu_s: float
    server_cpu_s: float

    def lines(self, prefix: str) -> list[str]:
        """Rows `name: value`."""
        slowest, thousands = self.batches_s, self.records / 1000
        return [
            f"{prefix}_batch_p50_ms: {slowest[len(slowest) // 2] * 1000:.0f}",
            f"{prefix}_batch_p99_ms: {slowest[len(slowest) * 99 // 100] * 1000:.0f}",
            f"{prefix}_application_cpu_s_per_1000: {self.senders_cpu_s / thousands:.3f}",
            f"{prefix}_database_cpu_s_per_1000: {self.server_cpu_s / thousands:.3f}",
            f"{prefix}_records_per_s: {self.records / self.took_s:.0f}",
        ]


@dataclass(frozen=True)
class _Part:
    records: int
    bytes: int
    batches_s: list[float]
    cpu_s: float


def account_of(number: int) -> str:
    """The account with this number."""
    return f"24{number:08d}"


def send(url: str, plan: Plan, *, server_pid: int | None = None) -> Sent:
    """Send all of it. `server_pid`: the database's first process, to know what it used."""
    gate = multiprocessing.Barrier(plan.writers + 1)
    results: multiprocessing.Queue[_Part] = multiprocessing.Queue()
    writers = [
        multiprocessing.Process(target=_write, args=(url, plan, number, gate, results))
        for number in range(plan.writers)
    ]
    for writer in writers:
        writer.start()
    gate.wait()
    before_s, started = _used_s(server_pid), time.perf_counter()
    parts = [results.get() for _ in writers]
    took_s, server_cpu_s = time.perf_counter() - started, _used_s(server_pid) - before_s
    gate.wait()
    for writer in writers:
        writer.join()
    return Sent(
        records=sum(part.records for part in parts),
        bytes=sum(part.bytes for part in parts),
        took_s=took_s,
        batches_s=sorted(took for part in parts for took in part.batches_s),
        senders_cpu_s=sum(part.cpu_s for part in parts),
        server_cpu_s=server_cpu_s,
    )


def _used_s(pid: int | None) -> float:
    return (cpu.used_s(pid) or 0.0) if pid else 0.0


def _write(url: str, plan: Plan, number: int, gate: Any, results: multiprocessing.Queue[_Part]) -> None:
    """One sender: everything prepared before the clock starts; it leaves when all are done."""
    bodies, expected = bodies_of(plan, number)
    database = Database(url)
    receive = entrance.receiver(Accounting(database, plan.clock), SECRET, plan.clock)
    stamp = str(int(plan.clock().timestamp()))
    headers = [
        {entrance.TIMESTAMP: stamp, entrance.SIGNATURE: entrance.sign(SECRET, stamp, body)} for body in bodies
    ]
    sent, took_s = 0, []
    gate.wait()
    before_s = time.process_time()
    for body, signed in zip(bodies, headers, strict=True):
        started = time.perf_counter()
        sent += len(receive(signed, body)["results"])
        took_s.append(time.perf_counter() - started)
    results.put(_Part(sent, expected, took_s, time.process_time() - before_s))
    # The database's processes live as long as our connections: whoever counts their time is quicker.
    gate.wait()
    database.dispose()


def bodies_of(plan: Plan, writer: int) -> tuple[list[bytes], int]:
    """Batches of one writer, and how many bytes they are worth: its accounts report in turn."""
    dice = random.Random(writer)
    places = range(writer, len(plan.numbers), plan.writers)
    wanted = plan.records // plan.writers
    records: list[dict[str, Any]] = []
    reached: dict[int, int] = {}
    step = 0
    while len(records) < wanted:
        step += 1
        for place in places:
            reached[place] = reached.get(place, 0) + dice.randrange(STEP_BYTES)
            records.append(_record(plan, place, step, reached[place]))
            if len(records) >= wanted:
                break
    for place in range(wanted // PERCENT):
        # Late: its neighbour in time may overtake it by a few batches.
        one, other = dice.randrange(wanted), dice.randrange(wanted)
        records[one], records[other] = records[other], records[one]
        records[(place * PERCENT) % wanted : (place * PERCENT) % wanted] = [records[one]]
    expected = sum(down + down // UPLOAD_SHARE for down in reached.values())
    batches = [records[at : at + plan.batch] for at in range(0, len(records), plan.batch)]
    return [json.dumps(batch).encode() for batch in batches], expected


def _record(plan: Plan, place: int, step: int, down: int) -> dict[str, Any]:
    at_s = int(plan.began_at.timestamp()) + INTERIM_S * step
    return {
        "kind": "interim", "nas": f"BRAS-{place % 8}", "session": f"{place:08x}",
        "account": account_of(plan.numbers[place]),
        "event_at": at_s, "received_at": at_s, "session_time_s": INTERIM_S * step,
        "input_octets": down // UPLOAD_SHARE % WRAP, "input_gigawords": down // UPLOAD_SHARE // WRAP,
        "output_octets": down % WRAP, "output_gigawords": down // WRAP, "address": "10.70.1.2",
    }  # fmt: skip
