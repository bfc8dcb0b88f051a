"""Certainly not done: refusals by name, nobody listening, the rate limit."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from models.errors import Unavailable
from payments.wechatpay.client import (
    AlreadyPaid,
    OrderClosed,
    PayRefused,
    TradeNotFound,
    WechatPay,
)
from tests.payments.wechatpay.signed_server import (
    CALLS,
    Answer,
    Call,
    SignedServer,
    close,
    make_client,
    prepay,
    query,
    refused,
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


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listening_means_certainly_not_done(call: Call) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = make_client(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unavailable):
            call(client)
        client.disconnect()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "FREQUENCY_LIMITED"), (429, "RATELIMIT_EXCEEDED"), (429, "SOMETHING"), (403, "FREQUENCY_LIMITED")],
)
def test_the_rate_limit_means_try_later(
    pay: WechatPay, server: SignedServer, call: Call, status: int, code: str
) -> None:
    server.answers = [refused(status, code)]
    with pytest.raises(Unavailable):
        call(pay)


@pytest.mark.parametrize(
    ("call", "status", "code", "error"),
    [
        (query, 404, "ORDER_NOT_EXIST", TradeNotFound),
        (query, 404, "ORDERNOTEXIST", TradeNotFound),
        (query, 400, "ORDER_NOT_EXIST", TradeNotFound),
        (query, 404, "RESOURCE_NOT_EXISTS", PayRefused),
        (close, 400, "ORDERPAID", AlreadyPaid),
        (close, 400, "ORDER_PAID", AlreadyPaid),
        (close, 403, "ORDERPAID", AlreadyPaid),
        (prepay, 400, "ORDERPAID", AlreadyPaid),
        (prepay, 400, "ORDER_CLOSED", OrderClosed),
        (prepay, 400, "ORDERCLOSED", OrderClosed),
        (prepay, 403, "OUT_TRADE_NO_USED", PayRefused),
        (prepay, 400, "PARAM_ERROR", PayRefused),
        (prepay, 401, "SIGN_ERROR", PayRefused),
        (query, 401, "SIGN_ERROR", PayRefused),
        (close, 401, "SIGN_ERROR", PayRefused),
        (prepay, 403, "NO_AUTH", PayRefused),
        (prepay, 400, "INVALID_REQUEST", PayRefused),
    ],
)
def test_a_refusal_has_a_name_whatever_status_and_spelling_it_comes_with(  # noqa: PLR0917 - parameters of the table
    pay: WechatPay, server: SignedServer, call: Call, status: int, code: str, error: type[PayRefused]
) -> None:
    server.answers = [refused(status, code, "给工程师的话", "08F78BB9-268435462")]
    with pytest.raises(PayRefused) as caught:
        call(pay)
    assert type(caught.value) is error
    assert caught.value.code == code.replace("_", "")
    assert caught.value.message == "给工程师的话"
    assert caught.value.request_id == "08F78BB9-268435462"
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", ["268498689", "268449538"])
def test_the_request_id_tells_that_an_invalid_request_was_a_paid_order(
    pay: WechatPay, server: SignedServer, number: str
) -> None:
    server.answers = [refused(400, "INVALID_REQUEST", "该订单已支付", f"08F78BB9-{number}")]
    with pytest.raises(AlreadyPaid):
        prepay(pay)


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b"[1]", b"{}", b"[" * 5000, b'{"code": 5}'])
@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refusal_without_words_is_still_no_missing_order(
    pay: WechatPay, server: SignedServer, status: int, body: bytes
) -> None:
    server.answers = [Answer(status, body)]
    with pytest.raises(PayRefused) as caught:
        query(pay)
    assert type(caught.value) is PayRefused
    assert caught.value.code in {f"HTTP{status}", "5"}


def test_the_text_of_a_refusal_is_one_short_line(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [
        refused(400, "PARAM_ERROR", "a\nb\ud800".encode("utf-8", "replace").decode() + "x" * 999)
    ]
    with pytest.raises(PayRefused) as caught:
        prepay(pay)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) == 256
