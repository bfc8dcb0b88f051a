"""One read on two campuses in turn: by the clock, and by processor where the machine is not ours alone."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from statistics import median

from bench import cpu
from bench.measure import percentile
from bench.scale_reads import READS, Call, Campus
from bench.scale_server import backends

SEED = 20261120
HEADING = (
    f"{'':20}{'p50 ms':>10}{'large':>10}{'p99 ms':>10}{'large':>10}{'cpu ms':>10}{'large':>10}{'ratio':>8}"
)


@dataclass
class _Side:
    """One campus: calls that are ready, and what they took; `cpu_s` of ours and of the server."""

    campus: Campus
    calls: list[Call] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def run(self, call: Call) -> None:
        """One call that counts."""
        ours, started = time.thread_time(), time.perf_counter()
        call()
        self.took_ms.append((time.perf_counter() - started) * 1000)
        self.cpu_s += time.thread_time() - ours

    @property
    def cpu_ms(self) -> float:
        """Processor time of one call."""
        return self.cpu_s * 1000 / len(self.took_ms)


def compare(name: str, small: Campus, large: Campus, calls: int) -> list[str]:
    """Rows of one read; as many calls as count come before, so that both are as warm as they get."""
    dice = random.Random(f"{SEED}:{name}")
    sides = (_Side(small), _Side(large))
    for _ in range(calls):
        for side in sides:
            READS[name](side.campus, dice)()
    for side in sides:
        side.calls = [READS[name](side.campus, dice) for _ in range(calls)]
    served = [backends(side.campus.database) for side in sides]
    before = [cpu.ran_s(pids) for pids in served]
    for pair in zip(*(side.calls for side in sides), strict=True):
        for side, call in zip(sides, pair, strict=True):
            side.run(call)
    for side, pids, was_s in zip(sides, served, before, strict=True):
        side.cpu_s += (cpu.ran_s(pids) or 0.0) - (was_s or 0.0)
    return _rows(name, *sides)


def _rows(name: str, small: _Side, large: _Side) -> list[str]:
    p50, large_p50 = median(small.took_ms), median(large.took_ms)
    p99, large_p99 = (percentile(sorted(side.took_ms), 0.99) for side in (small, large))
    print(
        f"{name:20}{p50:10.3f}{large_p50:10.3f}{p99:10.3f}{large_p99:10.3f}"
        f"{small.cpu_ms:10.3f}{large.cpu_ms:10.3f}{large_p50 / p50:8.2f}",
        flush=True,
    )
    return [
        f"scale_{name}_p50_ms: {large_p50:.3f}",
        f"scale_{name}_p99_ms: {large_p99:.3f}",
        f"scale_{name}_cpu_ms: {large.cpu_ms:.3f}",
        f"scale_{name}_p99_ratio: {large_p99 / p99:.2f}",
        f"scale_{name}_cpu_ratio: {large.cpu_ms / small.cpu_ms:.2f}",
        f"scale_{name}_ratio: {large_p50 / p50:.2f}",
    ]
