"""The network, reporting what a student has used: signed records over HTTP."""

from __future__ import annotations

import http.client
import json
import secrets
from datetime import timedelta

from billing.embedded.entrance import SIGNATURE, TIMESTAMP, sign
from tests.billing.network import Nas
from tests.journeys.town import Student, Town

ACCOUNTING_SECRET = "accounting-secret-of-the-browser-tests"
HOUR_S = 3600


def download(town: Town, student: Student, size_bytes: int) -> None:
    """The student was on line for the last hour and has loaded so much."""
    began_at = town.now() - timedelta(seconds=HOUR_S)
    session = Nas(began_at, student.account_no, session=secrets.token_hex(8))
    records = [session.start(), session.stop(HOUR_S, down=size_bytes)]
    body = json.dumps({"records": records}).encode()
    timestamp = str(int(town.now().timestamp()))
    headers = {TIMESTAMP: timestamp, SIGNATURE: sign(ACCOUNTING_SECRET, timestamp, body)}
    connection = http.client.HTTPConnection("127.0.0.1", town.rig.port, timeout=20)
    try:
        connection.request(
            "POST", "/billing/accounting", body, headers | {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        taken = json.loads(answer.read())
    finally:
        connection.close()
    assert (answer.status, [result["outcome"] for result in taken["results"]]) == (200, ["counted"] * 2), (
        taken
    )
