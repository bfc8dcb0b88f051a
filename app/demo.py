"""`make demo`: everything on this machine, on loopback, from nothing, with one Ctrl-C to end it.

Parts run as separate processes, as in production: Redis, the simulated WeChat, the web side with
its worker, and a network that reports invented traffic. Files, the generated config.toml among
them, are in var/demo/.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

import click

from app import selfcheck, setup_file
from app.redis_server import RedisServer, free_port
from billing.embedded import seed
from models import schema
from models.db.engine import Database
from models.notice import Notice, latest_notices
from payments.audit.key_change import begin_key
from payments.audit.keys import AuditKeys

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 30.0
WELCOME_NOTICE = (
    "校园网服务上线公众号",
    "现在可以在公众号里查余额、充网费、看流量。充值后几秒到账，随时回复“记录”查看每一笔。",
)


@dataclass(frozen=True)
class Options:
    """From PORT, SANDBOX_PORT, DEMO_SECONDS, RESET, DEMO_DIR; None means run until Ctrl-C."""

    port: int
    sandbox_port: int
    seconds: float | None
    reset: bool
    folder: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Options:
        """Read the variables; wrong numbers are a click error."""
        try:
            seconds = environment.get("DEMO_SECONDS")
            return cls(
                port=int(environment.get("PORT") or 8000),
                sandbox_port=int(environment.get("SANDBOX_PORT") or 8001),
                seconds=float(seconds) if seconds else None,
                reset=environment.get("RESET") == "1",
                folder=Path(environment.get("DEMO_DIR") or ROOT / "var" / "demo"),
            )
        except ValueError as error:
            raise click.ClickException(f"PORT, SANDBOX_PORT and DEMO_SECONDS are numbers: {error}") from None


class _Stop(Exception):
    """SIGTERM or SIGINT."""


def run(options: Options) -> int:
    """Start everything, check it, print the box, wait. Returns: the exit code."""
    signal.signal(signal.SIGTERM, _raise_stop)
    signal.signal(signal.SIGINT, _raise_stop)
    if options.reset:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    started: list[subprocess.Popen[bytes]] = []
    redis_server: RedisServer | None = None
    try:
        redis_server = RedisServer(options.folder / "redis")
        return _run_parts(options, redis_server, started)
    except _Stop:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(started):
            _end(process)
        if redis_server is not None:
            redis_server.stop()
        click.echo("demo stopped")


def _run_parts(options: Options, redis_server: RedisServer, started: list[subprocess.Popen[bytes]]) -> int:
    port = _port(options.port)
    sandbox_port = _port(options.sandbox_port, taken=port)
    site, wechat = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    folder = options.folder
    sandbox = ["-m", "sandbox", "--dir", str(folder / "sandbox"), "--port", str(sandbox_port), "--site", site]
    started.append(_start(sandbox, folder / "sandbox.log"))
    _wait_for(f"{wechat}/sim/health", started[-1], folder / "sandbox.log")
    templates = _templates(wechat)
    config = write_config(folder, site=site, wechat=wechat, redis_url=redis_server.url, templates=templates)
    _prepare_database(folder, wechat)
    serve = [
        "-m",
        "app.cli",
        "serve",
        "--config",
        str(config),
        "--bind",
        f"127.0.0.1:{port}",
        "--processes",
        "1",
    ]
    started.append(_start(serve, folder / "web.log"))
    _wait_for(f"{site}/readyz", started[-1], folder / "web.log")
    _call([sys.executable, "-m", "app.cli", "menu", "push", "--config", str(config)])
    traffic = ["-m", "app.cli", "accounting", "traffic", "--config", str(config)]
    started.append(_start(traffic, folder / "traffic.log"))
    if options.seconds is not None:
        began = time.monotonic()
        problem = selfcheck.run(wechat)
        if problem:
            click.echo(f"self-check failed: {problem}", err=True)
            return 1
        click.echo("self-check passed: followed, bound, paid 5 yuan, credited, told")
        _print_box(site, wechat, config)
        _watch(started, options.seconds - (time.monotonic() - began))
        return 0
    _print_box(site, wechat, config)
    _watch(started, None)
    return 0


def write_config(
    folder: Path, *, site: str, wechat: str, redis_url: str, templates: Mapping[str, str]
) -> Path:
    """The configuration that joins our side to the simulated platform: addresses and keys, nothing else."""
    console = json.loads((folder / "sandbox" / "credentials.json").read_text(encoding="utf-8"))
    for name in ("merchant_key_pem", "public_key_pem", "platform_cert_pem"):
        _write_private(folder / f"{name.removesuffix('_pem')}.pem", console[name])
    for name in ("secret_key", "accounting_secret"):
        if not (folder / name).exists():
            _write_private(folder / name, secrets.token_hex(32))
    path = folder / "config.toml"
    database = (folder / "campusnet.db").absolute()
    text = f"""# Written by `campusnet demo` on each start; change config.example.toml's copy instead.
mode = "demo"
[site]
base_url = {_quoted(site)}
# The simulated phone speaks through a proxy of its own, which tells where the phone is.
trusted_proxies = 1
secret_key_file = "secret_key"
[wechat]
app_id = {_quoted(console["app_id"])}
app_secret = {_quoted(console["app_secret"])}
token = {_quoted(console["token"])}
encoding_aes_key = {_quoted(console["encoding_aes_key"])}
original_id = {_quoted(console["original_id"])}
api_base = {_quoted(wechat)}
oauth_base = {_quoted(wechat)}
[wechat.templates]
money_id = {_quoted(templates["充值结果通知"])}
notice_id = {_quoted(templates["服务通知"])}
[pay]
mch_id = {_quoted(console["mch_id"])}
api_v3_key = {_quoted(console["api_v3_key"])}
merchant_serial = {_quoted(console["merchant_serial"])}
merchant_key_file = "merchant_key.pem"
public_key_id = {_quoted(console["public_key_id"])}
public_key_file = "public_key.pem"
platform_cert_files = ["platform_cert.pem"]
api_base = {_quoted(wechat)}
[database]
url = {_quoted(f"sqlite:///{database}")}
[redis]
url = {_quoted(redis_url)}
[billing.embedded]
accounting_secret_file = "accounting_secret"
[identity]
base_url = {_quoted(wechat + "/cas")}
[worker]
mode = "embedded"
[audit]
key_file = {_quoted(setup_file.KEY_FILE)}
anchor_dir = "anchors"
"""
    _write_private(path, text)
    return path


def _templates(wechat: str) -> dict[str, str]:
    """The ids of the account's templates by their titles, as its console shows them."""
    with urllib.request.urlopen(f"{wechat}/sim/templates") as answer:  # noqa: S310 - our own loopback address
        return {found["title"]: found["id"] for found in json.load(answer)["templates"]}


def _prepare_database(folder: Path, wechat: str) -> None:
    with urllib.request.urlopen(f"{wechat}/sim/students") as answer:  # noqa: S310 - our own loopback address
        students = json.load(answer)["students"]
    database = Database(f"sqlite:///{(folder / 'campusnet.db').absolute()}")
    schema.upgrade(database)
    now = datetime.now(UTC)
    key_file = folder / setup_file.KEY_FILE
    if not key_file.exists():
        write = partial(setup_file.write_keys, key_file)
        begin_key(database, AuditKeys(), now=now, write=write)
    with database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session)
        seed.seed_demo_accounts(session, [_account(s) for s in students], now)
        if not latest_notices(session, now, limit=1):
            title, body = WELCOME_NOTICE
            session.add(Notice(title=title, body=body, published_at=now))
    database.dispose()


def _account(student: Mapping[str, str]) -> seed.DemoAccount:
    """An invented account: 20 yuan, and a week of traffic that adds up to a good part of the grant."""
    return seed.DemoAccount(
        student["account_no"],
        student["name"],
        kind="staff" if student["kind"] == "staff" else "undergraduate",
        balance_fen=2000,
        daily_gb=(1, 3, 2, 0, 4, 2, 1),
    )


def _print_box(site: str, wechat: str, config: Path) -> None:
    with urllib.request.urlopen(f"{wechat}/sim/students") as answer:  # noqa: S310 - our own loopback address
        students = json.load(answer)["students"]
    lines = [
        "桂电校园网 demo · 模拟环境",
        "",
        f"phone page      {wechat}/",
        f"bot and pages   {site}/",
        f"configuration   {config}",
        f"commands        CAMPUSNET_CONFIG={config} .venv/bin/campusnet counter open",
        "",
        "accounts (unified identity)",
        *(f"  {s['account_no']}  {s['password']}  {s['name']}" for s in students),
        "",
        "Ctrl-C stops everything; RESET=1 make demo starts from nothing.",
    ]
    width = max(_columns(line) for line in lines)
    click.echo("┌" + "─" * (width + 2) + "┐")
    for line in lines:
        click.echo(f"│ {line}{' ' * (width - _columns(line))} │")
    click.echo("└" + "─" * (width + 2) + "┘")


def _columns(line: str) -> int:
    """Terminal columns: Chinese characters take two."""
    return sum(2 if "⺀" <= char <= "￯" else 1 for char in line)


def _watch(started: list[subprocess.Popen[bytes]], seconds: float | None) -> None:
    deadline = None if seconds is None else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        for process in started:
            if process.poll() is not None:
                raise click.ClickException(
                    f"a part stopped by itself (exit {process.returncode}); see var/demo/*.log"
                )
        time.sleep(0.2)


def _start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _call(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    if done.returncode:
        raise click.ClickException(f"{' '.join(command[2:5])} failed: {done.stderr.strip()[-800:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
    raise click.ClickException(f"{url} did not answer; {log} ends with:\n{tail}")


def _port(wanted: int, *, taken: int | None = None) -> int:
    """The wanted port, or a free one when somebody else has it."""
    if wanted != taken:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                pass
            else:
                return wanted
    chosen = free_port()
    click.echo(f"port {wanted} is taken, using {chosen}")
    return chosen


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _quoted(text: str) -> str:
    """A TOML string; JSON's quoting is a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _raise_stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop
