"""`python -m bench`: messages a second and p99 of three applications, interleaved, with ratios.

`python -m bench --check` compares every row of `goals.toml` with what its source measures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import goals, report
from bench.ground import ground
from bench.measure import CONNECTIONS, CONTESTANTS, Contestant, Leg, Length, run_leg
from bench.scene import KEYWORDS, Scene
from bench.servers import SERVERS, THREADS, serving

FIRST = Length(messages=600, seconds=2.0, warm_up=0)
WARM_UP = 80
# Messages are signed beforehand; more than the first leg promises, in case the machine gets faster.
SPARE = 2.0


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    server: str
    only: tuple[Contestant, ...]


def main() -> None:
    """Measure as asked and print."""
    if "--check" in sys.argv[1:]:
        sys.exit(_check([name for name in sys.argv[1:] if name != "--check"]))
    plan = _plan()
    with tempfile.TemporaryDirectory(prefix="campusnet-bench-") as folder, ground(Path(folder)) as scene:
        print(
            f"{plan.rounds} rounds of {plan.seconds:g} s each, {CONNECTIONS} connections, safe mode, "
            f"{len(KEYWORDS)} keywords; {plan.server}, 1 process, {THREADS} threads; {report.machine()}\n"
        )
        legs = _measure(plan, scene)
    print("\n".join([*report.table(legs), "", *report.rows(legs)]))


def _check(names: list[str]) -> int:
    """Compare the rows with these names, or all. Returns: 0 when every one is measured and met."""
    rows = [row for row in goals.load() if not names or row.name in names]
    unknown = set(names) - {row.name for row in rows}
    if unknown:
        print(f"no such row: {', '.join(sorted(unknown))}")
        return 1
    verdicts = goals.check(rows)
    print("\n".join(verdict.line() for verdict in verdicts))
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def _measure(plan: Plan, scene: Scene) -> dict[str, list[Leg]]:
    legs: dict[str, list[Leg]] = {contestant.name: [] for contestant in plan.only}
    with ExitStack() as stack:
        served = {c.name: stack.enter_context(serving(c.module, scene, plan.server)) for c in plan.only}
        lengths = {}
        for contestant in plan.only:
            first = run_leg(contestant, served[contestant.name], scene, FIRST)
            messages = int(first.per_s * plan.seconds * SPARE)
            lengths[contestant.name] = Length(messages, plan.seconds, WARM_UP)
        for _ in range(plan.rounds):
            for contestant in plan.only:
                name = contestant.name
                legs[name].append(run_leg(contestant, served[name], scene, lengths[name]))
    return legs


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with goals.toml (names: only these)")
    parser.add_argument("--quick", action="store_true", help="a rough look, under twenty seconds")
    parser.add_argument("--rounds", type=int, help="rounds of one leg for each (default 6, quick 3)")
    parser.add_argument("--seconds", type=float, help="length of a leg (default 2, quick 1)")
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
    parser.add_argument("--only", nargs="+", choices=[c.name for c in CONTESTANTS], help="leave others out")
    given = parser.parse_args()
    return Plan(
        rounds=given.rounds or (3 if given.quick else 6),
        seconds=given.seconds or (1.0 if given.quick else 2.0),
        server=given.server,
        only=tuple(c for c in CONTESTANTS if not given.only or c.name in given.only),
    )


if __name__ == "__main__":
    main()
