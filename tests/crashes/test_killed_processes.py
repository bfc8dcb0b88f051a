"""Web and worker processes on PostgreSQL, killed at random while orders are paid: each credited once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import wiring
from app.redis_server import RedisServer, free_port
from models.ledger import Entry, Posting
from models.order import Credit, CreditStatus, Order, OrderStatus, PaymentFact
from payments import orders
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.rig import eventually, make_config, prepare, toml

ROOT = Path(__file__).parent.parent.parent
ORDERS = 300
KILLS = 24
SEED = 20261123


class Process:
    """A command that is started again after it was killed."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._command = [sys.executable, "-m", "app.cli", *arguments]
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as out:
            self.running = subprocess.Popen(self._command, cwd=ROOT, stdout=out, stderr=out)

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()

    def stop(self) -> None:
        self.running.terminate()
        try:
            self.running.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children")
        return [int(pid) for pid in listed.read_text(encoding="ascii").split()]


@contextmanager
def running(config_path: Path, port: int, folder: Path) -> Iterator[tuple[Process, list[Process]]]:
    web = Process(
        ["serve", "--config", str(config_path), "--bind", f"127.0.0.1:{port}", "--processes", "2"],
        folder / "web.log",
    )
    workers = [Process(["worker", "--config", str(config_path)], folder / f"worker{n}.log") for n in range(2)]
    try:
        yield web, workers
    finally:
        for process in (*workers, web):
            process.stop()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds gunicorn's children in /proc")
def test_each_payment_is_credited_once_while_processes_are_killed(
    tmp_path: Path, credentials: Credentials, redis_server: RedisServer, postgres_url: str
) -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with Sandbox(credentials, Site(origin, f"{origin}/wechat")) as sandbox:
        identities = [student.identity for student in sandbox.students]
        prepare(postgres_url, identities)
        config = make_config(
            tmp_path,
            credentials,
            site=origin,
            platform=sandbox.url,
            database_url=postgres_url,
            redis_url=redis_server.url,
            recharge={"daily_limit_fen": 10**9},
            worker={"lease_s": 5.0},
        )
        house = wiring.build(config)
        openids = [student.openid for student in sandbox.students]
        for student in sandbox.students:
            sandbox.oa.followers.follow(student.openid)
        with running(toml(config, tmp_path), port, tmp_path) as (web, workers):
            eventually(lambda: len(web.children()) >= 2, "two web processes", timeout_s=60)
            killer = threading.Thread(target=kill_now_and_then, args=(web, workers))
            killer.start()
            for number in range(ORDERS):
                pay_one(
                    sandbox, house, openids[number % len(openids)], identities[number % 5].account_no, number
                )
            killer.join()
            eventually(lambda: everything_credited(house), "every credit", timeout_s=90)
        check_books(house)
        house.close()


def pay_one(sandbox: Sandbox, house: wiring.House, openid: str, account_no: str, number: int) -> None:
    amount_fen = 100 * (1 + number // 5)
    order = orders.start_recharge(house.web, openid=openid, account_no=account_no, amount_fen=amount_fen)
    orders.pay_params(house.web, order_no=order.order_no, openid=openid)
    sandbox.pay.pay(f"{order.order_no}01", openid)


def kill_now_and_then(web: Process, workers: list[Process]) -> None:
    chance = random.Random(SEED)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.35))
        if chance.random() < 0.5:
            for pid in chance.sample(web.children(), k=1) if web.children() else []:
                os.kill(pid, signal.SIGKILL)
        else:
            worker = chance.choice(workers)
            worker.kill()
            worker.start()


def everything_credited(house: wiring.House) -> bool:
    with house.database.reading() as session:
        done = session.scalar(
            select(func.count()).select_from(Credit).where(Credit.status == CreditStatus.CREDITED)
        )
    return done == ORDERS


def check_books(house: wiring.House) -> None:
    with house.database.reading() as session:
        paid = session.scalar(select(func.sum(Order.amount_fen)).where(Order.status == OrderStatus.PAID))
        facts = session.scalar(select(func.sum(PaymentFact.amount_fen)))
        entries = session.scalar(select(func.count()).select_from(Entry).where(Entry.kind == "credit"))
        credited = session.scalar(
            select(func.sum(Posting.amount_fen))
            .join(Entry, Entry.id == Posting.entry_id)
            .where(Entry.kind == "credit", Posting.book.like("account:%"))
        )
        total = session.scalar(select(func.sum(Posting.amount_fen)))
    expected = sum(100 * (1 + number // 5) for number in range(ORDERS))
    assert paid == facts == credited == expected
    assert entries == ORDERS
    assert total == 0
