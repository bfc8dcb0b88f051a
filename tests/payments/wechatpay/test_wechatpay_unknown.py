"""Perhaps done: every answer that is late, lost, odd or not signed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.errors import Unavailable, Unknown
from payments.wechatpay.client import (
    WechatPay,
)
from tests.payments.wechatpay.signed_server import (
    CALLS,
    GOOD,
    NOW,
    ORDER_NO,
    PAID,
    Answer,
    Call,
    SignedServer,
    close,
    good,
    keys,
    make_client,
    prepay,
    query,
    refused,
    signature_headers,
    signed,
    unsigned,
)


@pytest.fixture
def server() -> Iterator[SignedServer]:
    running = SignedServer()
    yield running
    running.stop()


@pytest.fixture
def pay(server: SignedServer) -> Iterator[WechatPay]:
    client = make_client(server.url)
    yield client
    client.disconnect()


def without(name: str) -> Callable[[Call], Answer]:
    def answer(call: Call) -> Answer:
        made = good(call)
        del made.headers[name]
        return made

    return answer


def stranger(call: Call) -> Answer:
    return good(call, key=keys().merchant)


def other_key(call: Call) -> Answer:
    return good(call, key=keys().certified)


def unknown_serial(call: Call) -> Answer:
    made = good(call)
    made.headers["Wechatpay-Serial"] = "PUB_KEY_ID_0000000000"
    return made


def other_body(call: Call) -> Answer:
    status, value = GOOD[call]
    made = signed(status, {"prepay_id": "wx1", "mchid": "2"})
    return replace(signed(status, value), headers=made.headers)


DOUBTS: dict[str, Callable[[Call], Answer]] = {
    "500": lambda _: Answer(500, b'{"code":"SYSTEM_ERROR","message":"x"}'),
    "500 signed": lambda call: replace(good(call), status=500),
    "502": lambda _: Answer(502, b"<html>"),
    "503": lambda _: Answer(503),
    "202": lambda call: replace(good(call), status=202),
    "204 or 200 the other way round": lambda call: signed(204 if call is not close else 200, None),
    "302": lambda _: Answer(302, b"", {"Location": "/elsewhere"}),
    "408": lambda _: Answer(408),
    "400 but their own trouble": lambda _: refused(400, "SYSTEM_ERROR"),
    "403 but their own trouble": lambda _: refused(403, "SYSTEMERROR"),
    "unsigned": unsigned,
    "no serial": without("Wechatpay-Serial"),
    "no timestamp": without("Wechatpay-Timestamp"),
    "no nonce": without("Wechatpay-Nonce"),
    "no signature": without("Wechatpay-Signature"),
    "signed by a stranger": stranger,
    "signed with the other key": other_key,
    "a key nobody knows": unknown_serial,
    "signature of another body": other_body,
    "too old": lambda call: good(call, at=NOW - timedelta(seconds=301)),
    "from the future": lambda call: good(call, at=NOW + timedelta(seconds=301)),
    "connection cut": lambda _: Answer(0),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubtful_answer_means_perhaps_done(
    pay: WechatPay, server: SignedServer, call: Call, doubt: str
) -> None:
    # Twice, since a query may look again; what is not asked for stays.
    server.answers = [DOUBTS[doubt](call), DOUBTS[doubt](call)]
    with pytest.raises(Unknown):
        call(pay)
    looked_again = call is query and doubt == "connection cut"
    assert len(server.seen) == (2 if looked_again else 1)


@pytest.mark.parametrize("skew_s", [-300, 300])
def test_five_minutes_of_skew_are_allowed(pay: WechatPay, server: SignedServer, skew_s: int) -> None:
    server.answers = [good(close, at=NOW + timedelta(seconds=skew_s))]
    pay.close(ORDER_NO)


@pytest.mark.parametrize("call", CALLS)
def test_no_answer_in_time_means_perhaps_done_and_is_not_repeated(server: SignedServer, call: Call) -> None:
    client = make_client(server.url, read_timeout_s=0.2)
    server.answers = [Answer(-1)]
    with pytest.raises(Unknown):
        call(client)
    client.disconnect()
    assert len(server.seen) == 1


def test_an_answer_cut_in_the_middle_means_perhaps_done(pay: WechatPay, server: SignedServer) -> None:
    made = good(prepay)
    server.answers = [replace(made, headers={**made.headers, "X-Length": str(len(made.body) + 10)})]
    with pytest.raises(Unknown):
        prepay(pay)


def test_an_endless_answer_is_given_up(pay: WechatPay, server: SignedServer) -> None:
    body = b" " * (300 * 1024)
    server.answers = [Answer(200, body, signature_headers(body))]
    with pytest.raises(Unknown, match="too long"):
        prepay(pay)


def test_an_answer_that_trickles_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    gave_up = threading.Event()

    def trickle() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")
            for _ in range(60):
                if gave_up.wait(0.05):
                    return
                peer.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    client = make_client(f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout_s=0.5)
    try:
        with pytest.raises(Unknown, match=r"too slow|in time"):
            prepay(client)
    finally:
        gave_up.set()
        thread.join()
        listener.close()
        client.disconnect()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {**PAID, "out_trade_no": "20260901R000000000000002"},
        {**PAID, "amount": {"total": "500", "currency": "CNY"}},
        {**PAID, "amount": {"total": True}},
        {**PAID, "amount": {"total": 5.0}},
        {**PAID, "amount": {"total": -1}},
        {**PAID, "amount": 500},
        {**PAID, "payer": "openid"},
        {**PAID, "trade_state": "PAID"},
        {**PAID, "trade_state": None},
        {**PAID, "success_time": "2026-09-01T12:00:00"},
        {**PAID, "success_time": "yesterday"},
        {**PAID, "success_time": "0001-01-01T00:00:00+23:00"},
        {**PAID, "transaction_id": 42},
        {**PAID, "transaction_id": "4" * 129},
        {**PAID, "mchid": "\ud800"},
        {**PAID, "appid": ""},
    ],
)
def test_a_signed_answer_that_is_no_such_trade_is_not_believed(
    pay: WechatPay, server: SignedServer, value: dict[str, Any]
) -> None:
    body = json.dumps(value).encode()
    server.answers = [Answer(200, body, signature_headers(body))]
    with pytest.raises(Unknown):
        pay.query(ORDER_NO)


@pytest.mark.parametrize("value", [{}, {"prepay_id": ""}, {"prepay_id": 5}, [], None])
def test_a_signed_answer_without_a_prepay_id_is_not_believed(
    pay: WechatPay, server: SignedServer, value: object
) -> None:
    server.answers = [signed(200, value)]
    with pytest.raises(Unknown):
        prepay(pay)


def test_a_query_looks_again_when_the_connection_was_gone(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [Answer(0), signed(200, PAID)]
    assert pay.query(ORDER_NO).trade_state == "SUCCESS"


@pytest.mark.parametrize("call", [prepay, close])
def test_what_changes_something_is_never_sent_twice(pay: WechatPay, server: SignedServer, call: Call) -> None:
    server.answers = [Answer(0), good(call)]
    with pytest.raises(Unknown):
        call(pay)
    assert len(server.seen) == 1


def test_an_error_that_the_caller_was_handling_does_not_change_the_verdict(
    pay: WechatPay, server: SignedServer
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = make_client(f"http://127.0.0.1:{free.getsockname()[1]}")

    def second_way() -> None:
        try:
            close(nobody)
        except Unavailable:
            close(pay)

    server.answers = [Answer(0)]
    with pytest.raises(Unknown):
        second_way()
    nobody.disconnect()
