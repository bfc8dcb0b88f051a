"""One leg: messages at one contestant, timed from outside, with Redis counted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from bench import load, pushes
from bench.contestants import campusnet, minimal, stock
from bench.scene import BALANCE, KEYWORDS, PEOPLE, Scene, openid
from bench.servers import ROOT

CONNECTIONS = 8
LEG_TIMEOUT_S = 120
# What the measurement itself asks of Redis.
OWN_COMMANDS = frozenset({"config", "info", "flushall", "ping", "client", "hello", "select", "script"})


@dataclass(frozen=True)
class Contestant:
    """Who is measured: the module in `bench/contestants`, its address and the words it is asked."""

    name: str
    module: str
    path: str
    words: tuple[str, ...]
    share: float


# The second answers several times slower; a smaller share keeps its legs as short as the others'.
CONTESTANTS = (
    Contestant("campusnet", "campusnet", campusnet.PATH, (BALANCE,), 1.0),
    Contestant("werobot", "stock", stock.PATH, KEYWORDS, 0.25),
    Contestant("minimal", "minimal", minimal.PATH, (BALANCE,), 1.0),
)


@dataclass(frozen=True)
class Leg:
    """What one leg showed. `commands` and `round_trips` are Redis', for each message."""

    per_s: float
    p50_ms: float
    p99_ms: float
    commands: dict[str, float]
    round_trips: float


def run_leg(contestant: Contestant, port: int, scene: Scene, messages: int, warm_up: int) -> Leg:
    """Send `messages` after `warm_up`. Raises: ValueError - an answer was wrong."""
    count = messages + warm_up
    openids = [openid(number) for number in range(PEOPLE)]
    requests = (push.request(contestant.path) for push in pushes.pushes(count, openids, contestant.words))
    prepared = scene.folder / "requests.bin"
    prepared.write_bytes(load.pack(requests))
    with redis.Redis.from_url(scene.redis_url) as store:
        store.flushall()
        store.config_resetstat()
        seen = _drive(port, prepared, warm_up)
        commands, reads = _counted(store)
    for body in seen["bodies"]:
        pushes.said(body.encode())
    latencies_ms = sorted(value / 1e6 for value in seen["latencies_ns"])
    return Leg(
        per_s=messages / seen["took_s"],
        p50_ms=percentile(latencies_ms, 0.5),
        p99_ms=percentile(latencies_ms, 0.99),
        commands={name: calls / count for name, calls in commands.items()},
        round_trips=reads / count,
    )


def percentile(ordered: list[float], part: float) -> float:
    """The value that `part` of the ordered values do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _drive(port: int, prepared: Path, warm_up: int) -> dict[str, Any]:
    arguments = [str(port), str(prepared), str(CONNECTIONS), str(warm_up)]
    finished = subprocess.run(
        [sys.executable, "-m", "bench.load", *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=LEG_TIMEOUT_S,
        check=False,
    )
    if finished.returncode:
        raise ValueError(finished.stderr.decode(errors="replace"))
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


def _counted(store: redis.Redis) -> tuple[dict[str, int], int]:
    statistics: Any = store.info("commandstats")
    counted = {
        name.removeprefix("cmdstat_"): int(values["calls"])
        for name, values in statistics.items()
        if name.removeprefix("cmdstat_").partition("|")[0] not in OWN_COMMANDS
    }
    traffic: Any = store.info("stats")
    return counted, int(traffic["total_reads_processed"])
