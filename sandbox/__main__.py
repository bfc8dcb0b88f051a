"""`python -m sandbox`: run the simulated platforms until told to stop."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import threading
from pathlib import Path

from sandbox import credentials
from sandbox.engine import Site
from sandbox.server import Sandbox


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; one line says where."""
    options = _parser().parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    site = Site(options.site, options.site + options.push_path, options.mode)
    keys = load_or_issue(options.dir / "credentials.json")
    keep = options.dir / "pay.jsonl"
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    with Sandbox(keys, site, port=options.port, seed=seed, shared_clock=False, keep=keep) as sandbox:
        sys.stdout.write(f"模拟环境 {sandbox.url} -> {options.site}（seed {seed}）\n")
        sys.stdout.flush()
        stopped.wait()
    return 0


def load_or_issue(path: Path) -> credentials.Credentials:
    """The credentials of this folder; made on the first start."""
    if path.exists():
        return credentials.Credentials.load(path)
    issued = credentials.issue()
    issued.save(path)
    return issued


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description="WeChat, WeChat Pay and CAS, simulated.")
    parser.add_argument(
        "--dir",
        type=Path,
        required=True,
        help="folder of credentials.json, of the payments made and of changed keys",
    )
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--site", default="http://127.0.0.1:8000", type=lambda text: text.rstrip("/"))
    parser.add_argument("--push-path", default="/wechat", help="path of the site that receives pushes")
    parser.add_argument("--mode", choices=("safe", "plain"), default="safe")
    parser.add_argument("--seed", type=int, help="repeat a run: the number that it printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
