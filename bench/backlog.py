"""`python -m bench.backlog`: how long a payment waits for its credit while the message API hangs.

PostgreSQL, Redis and a real worker process; ten thousand messages are due, and the message API takes every
call and answers none. Payments are recorded as a callback would; the time is from there to the credit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sqlalchemy import func, select

from app import wiring
from app.redis_server import RedisServer
from bench.chaos_parts import Process, until
from bench.measure import percentile
from bench.own_postgres import own_postgres
from bench.report import machine
from models.clock import utc_now
from models.order import Credit, CreditStatus, Order
from models.outbox import OutboxItem
from payments import numbers, orders, outbox
from payments.confirm import WECHAT, PaidFact, confirm_paid
from sandbox.credentials import issue
from sandbox.students import DEFAULT
from tests.rig import make_config, prepare, toml

MESSAGES = 10_000
PAYMENTS = 150
EACH_S = 0.3
PATIENCE_S = 120.0
STEP = 1000


def main() -> int:
    """Measure once; the last line is the figure. Returns: 0, or 1 when a payment was not credited."""
    parser = argparse.ArgumentParser(prog="python -m bench.backlog", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    given = parser.parse_args()
    print(machine())
    with _ground() as (house, config, hanging):
        _enqueue_messages(house, given.messages)
        worker = Process(["app.cli", "worker", "--config", str(config)], config.with_name("worker.log"))
        try:
            until(lambda: hanging.calls > 0, "the first message")
            _pay(house, given.payments)
            until(lambda: _credited(house) >= given.payments, "the last credit", PATIENCE_S)
        except TimeoutError as error:
            print(error)
        finally:
            worker.stop()
        latencies = _latencies(house)
        print(f"messages that hung: {hanging.calls}, still waiting: {_waiting(house)}")
    print(f"credits: {len(latencies)}")
    if len(latencies) < given.payments:
        return 1
    print(f"credit_p50_behind_hanging_messages_s: {percentile(latencies, 0.5):.3f}")
    print(f"credit_p99_behind_hanging_messages_s: {percentile(latencies, 0.99):.3f}")
    return 0


class HangingApi:
    """A message API that gives out an access token and then answers nothing."""

    def __init__(self) -> None:
        self.calls = 0
        self._ended = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            def do_POST(self) -> None:
                """Give a token; hang on anything else."""
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if "token" not in self.path.partition("?")[0]:
                    api.calls += 1
                    api._ended.wait()
                    return
                body = json.dumps({"access_token": "token", "expires_in": 7200}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Let go of every call."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def _ground() -> Iterator[tuple[wiring.House, Path, HangingApi]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cn-backlog-")))
        server = stack.enter_context(own_postgres())
        store = RedisServer(folder / "redis")
        stack.callback(store.stop)
        hanging = HangingApi()
        stack.callback(hanging.stop)
        url = server.url(server.create())
        prepare(url, list(DEFAULT))
        config = make_config(
            folder,
            issue(),
            site="http://127.0.0.1:9",
            platform=hanging.url,
            database_url=url,
            redis_url=store.url,
            recharge={"daily_limit_fen": 10**12, "max_fen": 10**9},
        )
        house = wiring.build(config)
        stack.callback(house.close)
        yield house, toml(config, folder), hanging


def _enqueue_messages(house: wiring.House, count: int) -> None:
    now = utc_now()
    for start in range(0, count, STEP):
        with house.database.transaction() as session:
            for number in range(start, min(start + STEP, count)):
                payload = {"openid": f"oBacklog{number:020d}", "text": "充值到账"}
                outbox.put(session, "message", f"backlog:{number}", payload, now=now)


def _pay(house: wiring.House, count: int) -> None:
    accounts = [student.account_no for student in DEFAULT]
    for number in range(count):
        began_s = time.monotonic()
        openid = f"oPayer{number:022d}"
        view = orders.start_recharge(
            house.web, openid=openid, account_no=accounts[number % len(accounts)], amount_fen=100
        )
        fact = PaidFact(
            provider=WECHAT,
            out_trade_no=numbers.out_trade_no(view.order_no, 1),
            transaction_id=f"42{view.order_no}",
            amount_fen=100,
            currency="CNY",
            openid=openid,
            paid_at=utc_now(),
        )
        with house.database.transaction() as session:
            confirm_paid(session, fact, cause="notify", now=utc_now())
        house.web.wake()
        time.sleep(max(0.0, EACH_S - (time.monotonic() - began_s)))


def _credited(house: wiring.House) -> int:
    with house.database.reading() as session:
        query = select(func.count()).where(Credit.status == CreditStatus.CREDITED)
        return session.scalar(query) or 0


def _latencies(house: wiring.House) -> list[float]:
    query = (
        select(Order.paid_at, Credit.changed_at)
        .join(Credit, Credit.order_id == Order.id)
        .where(Credit.status == CreditStatus.CREDITED, Order.paid_at.is_not(None))
    )
    with house.database.reading() as session:
        rows = session.execute(query).all()
    return sorted((credited - paid).total_seconds() for paid, credited in rows if paid is not None)


def _waiting(house: wiring.House) -> int:
    query = select(func.count()).where(OutboxItem.kind == "message", OutboxItem.status == "READY")
    with house.database.reading() as session:
        return session.scalar(query) or 0


if __name__ == "__main__":
    sys.exit(main())
