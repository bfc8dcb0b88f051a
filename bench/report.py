"""From legs to figures: medians over the rounds, and ratios within each round."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from statistics import median

from bench.measure import Leg

OURS = "campusnet"


def table(legs: Mapping[str, Sequence[Leg]]) -> list[str]:
    """A person's view: one line for each contestant, then what each asks of Redis."""
    lines = [
        f"{'':12}{'messages/s':>12}{'(lowest':>11}{'highest)':>11}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms':>9}"
    ]
    for name, runs in legs.items():
        rates = [leg.per_s for leg in runs]
        lines.append(
            f"{name:12}{median(rates):12.0f}{min(rates):11.0f}{max(rates):11.0f}"
            f"{median(leg.p50_ms for leg in runs):9.2f}{median(leg.p99_ms for leg in runs):9.2f}"
            f"{median(leg.cpu_ms for leg in runs):9.2f}"
        )
    lines.append("")
    lines.append("Redis for each message (commands inside a script count as well):")
    for name, runs in legs.items():
        commands = ", ".join(f"{command} {calls:.2f}" for command, calls in sorted(runs[-1].commands.items()))
        lines.append(f"{name:12}{runs[-1].round_trips:6.2f} round trips: {commands}")
    return lines


def rows(legs: Mapping[str, Sequence[Leg]]) -> list[str]:
    """A machine's view: `name: value`."""
    made = []
    for name, runs in legs.items():
        made.append(f"messages_{name}_per_s: {median(leg.per_s for leg in runs):.0f}")
        made.append(f"messages_{name}_p99_ms: {median(leg.p99_ms for leg in runs):.2f}")
        made.append(f"messages_{name}_cpu_ms: {median(leg.cpu_ms for leg in runs):.2f}")
        made.append(f"messages_{name}_redis_round_trips: {runs[-1].round_trips:.2f}")
    for name, runs in legs.items():
        if name != OURS and OURS in legs:
            ratios = [ours.per_s / other.per_s for ours, other in zip(legs[OURS], runs, strict=True)]
            made.append(f"messages_vs_{name}: {median(ratios):.2f}")
    return made


def machine() -> str:
    """Where this was measured, in one line. A load near the number of cores makes every figure doubtful."""
    system = f"{platform.system()} {platform.machine()}"
    load = f"{os.getloadavg()[0]:.1f}"
    return f"{os.cpu_count()} cores, load {load} before, {system}, Python {platform.python_version()}"
