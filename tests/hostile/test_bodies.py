"""No hostile body breaks us, none is believed, and their sources are named: `CAMPUSNET_BODIES` of them."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs
from werkzeug.test import Client

from models.order import Order, OrderStatus
from models.people.login_session import LoginSession
from payments import orders
from payments.numbers import out_trade_no
from sandbox.credentials import Credentials
from tests.hostile.bodies import SOURCES, Request, Sender
from tests.rig import Rig

BODIES = int(os.environ.get("CAMPUSNET_BODIES", "5000"))
ORDERS = 20
SECRET = "accounting-secret-of-the-tests-01"


@pytest.mark.long
def test_no_hostile_body_is_believed_or_breaks_anything(
    make_rig: Callable[..., Rig],
    credentials: Credentials,
    record_property: Callable[[str, object], None],
) -> None:
    rig = make_rig(workers=0, billing={"embedded": {"accounting_secret": SECRET}})
    seed = int(os.environ.get("CAMPUSNET_SEED", random.randrange(2**32)))
    record_property("seed", seed)
    student = next(iter(rig.sandbox.students))
    numbers = cycle(list(made(rig, student.openid)))
    sender = Sender(credentials, rig.house.web.clock, SECRET, student.openid, numbers, seed)
    client, statuses, accepted = Client(rig._app), Counter[int](), list[Request]()
    with capture_logs() as lines:
        for request in sender.requests(BODIES):
            answer = client.post(
                request.path, data=request.body, headers=request.headers, query_string=request.query
            )
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, (seed, request)
            if request.forged and answer.status_code < 300:
                accepted.append(request)
    record_property("statuses", dict(statuses))
    assert accepted == []
    with rig.house.database.reading() as session:
        paid = session.scalar(select(func.count()).where(Order.status == OrderStatus.PAID))
        logged_in = session.scalar(select(func.count()).select_from(LoginSession))
    assert (paid, logged_in) == (0, 0)
    trace = [line for line in lines if line.get("event") == "security"]
    assert {line["source"] for line in trace} >= {f"198.51.100.{number}" for number in range(SOURCES)}
    # A line per kind, source and minute, written again with its count when the minute is over.
    minutes = 2 + BODIES // 1000
    assert len(trace) <= 2 * 4 * SOURCES * minutes
    # What is authentic and wrong is kept for an operator; everything else leaves no line of its own.
    others = Counter(line["event"] for line in lines if line.get("event") not in ("security", "parked"))
    record_property("other_lines", dict(others))


def made(rig: Rig, openid: str) -> Iterator[tuple[str, int]]:
    """Orders that a hostile callback could pay."""
    account_no = next(iter(rig.sandbox.students)).identity.account_no
    for number in range(ORDERS):
        view = orders.start_recharge(
            rig.house.web, openid=openid, account_no=account_no, amount_fen=100 * (number + 1)
        )
        yield out_trade_no(view.order_no, 1), view.amount_fen
