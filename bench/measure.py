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

from bench import cpu, load, pushes
from bench.contestants import campusnet, minimal, stock
from bench.scene import BALANCE, KEYWORDS, PEOPLE, Scene, openid
from bench.servers import ROOT, Served

CONNECTIONS = 8
LEG_TIMEOUT_S = 120
# What the measurement itself asks of Redis.
OWN_COMMANDS = frozenset({"config", "info", "flushall", "ping", "client", "hello", "select", "script"})


@dataclass(frozen=True)
class Contestant:
    """Who is measured: the module in `bench/contestants`, its address, and what it is asked.

    `says` stands in every right answer: an apology or a 正在处理 is no answer that counts.
    """

    name: str
    module: str
    path: str
    words: tuple[str, ...]
    says: str


CONTESTANTS = (
    Contestant("campusnet", "campusnet", campusnet.PATH, (BALANCE,), "余额：12.50 元"),
    Contestant("werobot", "stock", stock.PATH, KEYWORDS, stock.ANSWER),
    Contestant("minimal", "minimal", minimal.PATH, (BALANCE,), "余额：12.50 元"),
)


@dataclass(frozen=True)
class Leg:
    """What one leg showed. `commands` and `round_trips` are Redis', for each message.

    `cpu_ms` is the server's processor time for a message, 0 where the system does not tell.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    commands: dict[str, float]
    round_trips: float


@dataclass(frozen=True)
class Length:
    """At most `messages` and at most `seconds`, after `warm_up` messages that do not count."""

    messages: int
    seconds: float
    warm_up: int


def run_leg(contestant: Contestant, served: Served, scene: Scene, length: Length) -> Leg:
    """Measure once. Raises: ValueError - an answer was wrong."""
    openids = [openid(number) for number in range(PEOPLE)]
    fresh = pushes.pushes(length.messages + length.warm_up, openids, contestant.words)
    prepared = scene.folder / "requests.bin"
    prepared.write_bytes(load.pack(push.request(contestant.path) for push in fresh))
    with redis.Redis.from_url(scene.redis_url) as store:
        store.flushall()
        store.config_resetstat()
        before_s = cpu.used_s(served.pid)
        seen = _drive(contestant, served.port, prepared, length)
        after_s = cpu.used_s(served.pid)
        commands, reads = _counted(store)
    for body in seen["bodies"]:
        if contestant.says not in (words := pushes.said(body.encode())):
            raise ValueError(f"{contestant.name} answered: {words}")
    latencies_ms = sorted(value / 1e6 for value in seen["latencies_ns"])
    count = len(latencies_ms) + length.warm_up
    return Leg(
        per_s=len(latencies_ms) / seen["took_s"],
        p50_ms=percentile(latencies_ms, 0.5),
        p99_ms=percentile(latencies_ms, 0.99),
        cpu_ms=((after_s or 0.0) - (before_s or 0.0)) / count * 1000,
        commands={name: calls / count for name, calls in commands.items()},
        round_trips=reads / count,
    )


def percentile(ordered: list[float], part: float) -> float:
    """The value that `part` of the ordered values do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _drive(contestant: Contestant, port: int, prepared: Path, length: Length) -> dict[str, Any]:
    arguments = [str(port), str(prepared), str(CONNECTIONS), str(length.warm_up), str(length.seconds)]
    finished = subprocess.run(
        [sys.executable, "-m", "bench.load", *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=LEG_TIMEOUT_S,
        check=False,
    )
    if finished.returncode:
        raise ValueError(f"{contestant.name}: {finished.stderr.decode(errors='replace')}")
    seen: dict[str, Any] = json.loads(finished.stdout)
    if not seen["latencies_ns"]:
        raise ValueError(f"{contestant.name}: no message was measured in {length}")
    return seen


def _counted(store: redis.Redis) -> tuple[dict[str, int], int]:
    statistics: Any = store.info("commandstats")
    counted = {
        name.removeprefix("cmdstat_"): int(values["calls"])
        for name, values in statistics.items()
        if name.removeprefix("cmdstat_").partition("|")[0] not in OWN_COMMANDS
    }
    traffic: Any = store.info("stats")
    return counted, int(traffic["total_reads_processed"])
