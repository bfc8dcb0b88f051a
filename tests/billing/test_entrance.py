from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.embedded import entrance
from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from models.db.engine import Database
from models.errors import Forged, Malformed
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import Books, Nas

SECRET = "an accounting secret of 32 letters"


@pytest.fixture
def receive(any_database: Database, clock: FixedClock, billing: EmbeddedBilling) -> entrance.Receive:
    assert billing.capabilities().usage
    return entrance.receiver(Accounting(any_database, clock), SECRET, clock)


def headers(body: bytes, timestamp: str, secret: str = SECRET) -> dict[str, str]:
    return {entrance.TIMESTAMP: timestamp, entrance.SIGNATURE: entrance.sign(secret, timestamp, body)}


def now(clock: FixedClock) -> str:
    return str(int(clock().timestamp()))


def send(receive: entrance.Receive, clock: FixedClock, content: Any) -> dict[str, Any]:
    body = json.dumps(content).encode()
    return receive(headers(body, now(clock)), body)


def test_one_record_a_list_and_a_batch_are_taken(
    receive: entrance.Receive, clock: FixedClock, any_database: Database
) -> None:
    nas = Nas(clock())
    one, two = nas.start(), nas.start(session="s-2")
    assert send(receive, clock, one) == {"results": [{"outcome": "counted"}]}
    assert send(receive, clock, [one, two]) == {"results": [{"outcome": "known"}, {"outcome": "counted"}]}
    assert send(receive, clock, {"records": [{}, two]}) == {
        "results": [{"outcome": "malformed", "field": "kind"}, {"outcome": "known"}]
    }
    assert len(Books(any_database, Accounting(any_database, clock)).sessions()) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {entrance.SIGNATURE: ""}, {entrance.SIGNATURE: "0" * 64}, {entrance.SIGNATURE: "é" * 64},
        {entrance.TIMESTAMP: ""}, {entrance.TIMESTAMP: "١٢"}, {entrance.TIMESTAMP: "-1"},
        {entrance.TIMESTAMP: "9" * 4400}, {entrance.TIMESTAMP: "1773115201"},
    ],
)  # fmt: skip
def test_a_wrong_signature_is_refused(
    receive: entrance.Receive, clock: FixedClock, changes: dict[str, str]
) -> None:
    body = json.dumps(Nas(clock()).start()).encode()
    with pytest.raises(Forged):
        receive(headers(body, now(clock)) | changes, body)


def test_another_body_under_the_same_signature_is_refused(
    receive: entrance.Receive, clock: FixedClock
) -> None:
    with pytest.raises(Forged, match="signature"):
        receive(headers(b"[]", now(clock)), b"[] ")


@pytest.mark.parametrize("off_s", [-301, 301])
def test_an_old_batch_is_refused_however_well_signed(
    receive: entrance.Receive, clock: FixedClock, off_s: int
) -> None:
    with pytest.raises(Forged, match="age"):
        receive(headers(b"[]", str(int(clock().timestamp()) + off_s)), b"[]")


def test_without_a_secret_nobody_comes_in(any_database: Database, clock: FixedClock) -> None:
    closed = entrance.receiver(Accounting(any_database, clock), "", clock)
    with pytest.raises(Forged, match="configured"):
        closed(headers(b"[]", now(clock), ""), b"[]")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"{", b"1", b'"x"', b'{"records":{}}', b"[" * 100_000, b"[1" + b",1" * 2000 + b"]",
             b"1" * 5000],
)  # fmt: skip
def test_what_is_no_batch_is_said_to_be_none(
    receive: entrance.Receive, clock: FixedClock, body: bytes
) -> None:
    with pytest.raises(Malformed):
        receive(headers(body, now(clock)), body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
nearly = st.fixed_dictionaries(
    {"kind": st.sampled_from(["start", "interim", "stop", "on", "off"]), "nas": st.just("b"),
     "session": st.just("s"), "account": st.sampled_from(["A1", "A9"])},
    optional={
        name: st.integers(-1, 2**33) | st.integers(0, 500).map(str) | anything
        for name in ("event_at", "received_at", "delay_s", "session_time_s", "started_at", "input_octets",
                     "input_gigawords", "output_octets", "output_gigawords", "address")
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(nearly | anything, max_size=5))
def test_every_record_of_a_signed_batch_gets_an_answer(
    receive: entrance.Receive, clock: FixedClock, records: list[Any]
) -> None:
    assert len(send(receive, clock, records)["results"]) == len(records)
