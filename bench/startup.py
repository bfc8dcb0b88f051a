"""How long `campusnet --help` takes: the median of several runs, each in a process of its own.

python -m bench.startup
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
ROOT = Path(__file__).parent.parent


def once() -> float:
    """Seconds of one run, from start to exit."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "app.cli", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure and print `name: value`."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description="Time of campusnet --help")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    # The first run compiles what has changed and fills the disk's cache.
    once()
    times = [once() for _ in range(rounds)]
    print(f"campusnet_help_s: {statistics.median(times):.3f}")
    print(f"campusnet_help_max_s: {max(times):.3f}")


if __name__ == "__main__":
    main()
