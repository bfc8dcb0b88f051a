"""The client's two refund calls: what is sent, what is believed, and the three outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from models.errors import Malformed, Unavailable, Unknown
from payments.wechatpay.client import PayRefused, RefundNotFound, WechatPay
from payments.wechatpay.messages import RefundTrade, refund_from
from tests.payments.wechatpay.signed_server import (
    MCH_ID,
    ORDER_NO,
    Answer,
    SignedServer,
    make_client,
    refused,
    signed,
)

REFUND_NO = "f20260901R00000000000000101"
REFUND_URL = "https://net.example.edu.cn/wechatpay/refund"
TAKEN: dict[str, Any] = {
    "refund_id": "50300006022026090100000000001",
    "out_refund_no": REFUND_NO,
    "transaction_id": "4200001234202609010000000001",
    "out_trade_no": ORDER_NO,
    "channel": "ORIGINAL",
    "user_received_account": "支付用户零钱",
    "create_time": "2026-09-01T12:00:00+08:00",
    "status": "PROCESSING",
    "funds_account": "AVAILABLE",
    "amount": {"total": 500, "refund": 200, "payer_total": 500, "payer_refund": 200, "currency": "CNY"},
}
# Source: the plaintext example of the refund notification (pay.weixin.qq.com/doc/v3/merchant/4012791865).
TOLD: dict[str, Any] = {
    "mchid": MCH_ID,
    "transaction_id": "4200001234202609010000000001",
    "out_trade_no": ORDER_NO,
    "refund_id": "50300006022026090100000000001",
    "out_refund_no": REFUND_NO,
    "refund_status": "SUCCESS",
    "success_time": "2026-09-01T12:05:00+08:00",
    "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 500, "refund": 200, "payer_total": 500, "payer_refund": 200},
}


@pytest.fixture
def server() -> Iterator[SignedServer]:
    running = SignedServer()
    yield running
    running.stop()


@pytest.fixture
def pay(server: SignedServer) -> Iterator[WechatPay]:
    client = make_client(server.url, refund_notify_url=REFUND_URL)
    yield client
    client.disconnect()


def send(pay: WechatPay) -> RefundTrade:
    return pay.refund(
        out_trade_no=ORDER_NO, out_refund_no=REFUND_NO, amount_fen=200, total_fen=500, reason="充错账号"
    )


def test_what_is_sent_is_what_the_document_wants(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(200, TAKEN)]
    send(pay)
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/v3/refund/domestic/refunds")
    assert json.loads(seen.body) == {
        "out_trade_no": ORDER_NO,
        "out_refund_no": REFUND_NO,
        "reason": "充错账号",
        "notify_url": REFUND_URL,
        "amount": {"refund": 200, "total": 500, "currency": "CNY"},
    }


def test_an_accepted_refund_comes_back_typed(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [
        signed(200, TAKEN),
        signed(200, {**TAKEN, "status": "SUCCESS", "success_time": "2026-09-01T12:05:00+08:00"}),
    ]
    assert send(pay) == RefundTrade(
        out_refund_no=REFUND_NO,
        refund_id="50300006022026090100000000001",
        out_trade_no=ORDER_NO,
        transaction_id="4200001234202609010000000001",
        status="PROCESSING",
        amount_fen=200,
        total_fen=500,
        currency="CNY",
        mch_id="",
        success_at=None,
    )
    found = pay.query_refund(REFUND_NO)
    assert (found.status, found.success_at) == ("SUCCESS", datetime(2026, 9, 1, 4, 5, tzinfo=UTC))
    assert server.seen[1].target == f"/v3/refund/domestic/refunds/{REFUND_NO}"


def test_the_refund_inside_a_notification_is_read_the_same_way() -> None:
    told = refund_from(TOLD)
    assert (told.status, told.mch_id, told.currency) == ("SUCCESS", MCH_ID, "")
    assert (told.amount_fen, told.total_fen) == (200, 500)


def test_only_wechat_s_own_word_means_never_accepted(pay: WechatPay, server: SignedServer) -> None:
    # A proxy's 404 taken for it would let a refund be given up that WeChat has.
    server.answers = [refused(404, "RESOURCE_NOT_EXISTS"), Answer(404, b"<html>not here</html>")]
    with pytest.raises(RefundNotFound):
        pay.query_refund(REFUND_NO)
    with pytest.raises(PayRefused) as caught:
        pay.query_refund(REFUND_NO)
    assert not isinstance(caught.value, RefundNotFound)


def test_an_order_that_is_not_there_is_no_unknown_refund(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [refused(404, "RESOURCE_NOT_EXISTS")]
    with pytest.raises(PayRefused) as caught:
        send(pay)
    assert not isinstance(caught.value, RefundNotFound)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refused(429, "FREQUENCY_LIMITED"), Unavailable),
        (refused(403, "NOT_ENOUGH"), PayRefused),
        (refused(400, "INVALID_REQUEST"), PayRefused),
        (refused(401, "SIGN_ERROR"), PayRefused),
        (refused(500, "SYSTEM_ERROR"), Unknown),
        (Answer(0), Unknown),
        (signed(202, {}), Unknown),
        (signed(200, {**TAKEN, "out_refund_no": "f20260901somebodyelse01"}), Unknown),
        (signed(200, {}), Unknown),
        (Answer(200, json.dumps(TAKEN).encode()), Unknown),
    ],
)
def test_every_answer_is_done_refused_or_unknown(
    pay: WechatPay, server: SignedServer, answer: Answer, outcome: type[Exception]
) -> None:
    server.answers = [answer]
    with pytest.raises(outcome):
        send(pay)
    assert len(server.seen) == 1, "nothing is repeated here"


def test_a_question_is_asked_again_on_a_dropped_connection_a_refund_is_not(
    pay: WechatPay, server: SignedServer
) -> None:
    server.answers = [Answer(0), signed(200, TAKEN)]
    assert pay.query_refund(REFUND_NO).status == "PROCESSING"


def test_codes_are_known_without_their_underscores(pay: WechatPay, server: SignedServer) -> None:
    for spelling in ("NOT_ENOUGH", "NOTENOUGH"):
        server.answers = [refused(403, spelling)]
        with pytest.raises(PayRefused) as caught:
            send(pay)
        assert caught.value.code == "NOTENOUGH"


@pytest.mark.parametrize("number", ["", "f1", "f" * 65, "f20260901|1", "退款单号退款单号"])
def test_no_refund_of_ours_has_a_number_that_needs_quoting(
    pay: WechatPay, server: SignedServer, number: str
) -> None:
    with pytest.raises(ValueError, match="out_refund_no"):
        pay.refund(out_trade_no=ORDER_NO, out_refund_no=number, amount_fen=1, total_fen=1, reason="x")
    assert server.seen == []


@pytest.mark.parametrize("number", ["", "f" * 65, "f20260901/1", "f20260901?1", "退款单号退款单号"])
def test_a_number_that_wechat_does_not_allow_is_not_asked_about(
    pay: WechatPay, server: SignedServer, number: str
) -> None:
    with pytest.raises(ValueError, match="out_refund_no"):
        pay.query_refund(number)
    assert server.seen == []


@pytest.mark.parametrize(
    "change",
    [
        {"refund_status": "DONE"},
        {"refund_status": None},
        {"refund_id": None},
        {"refund_id": ""},
        {"out_refund_no": 5},
        {"transaction_id": None},
        {"amount": None},
        {"amount": {"total": 500}},
        {"amount": {"refund": 200}},
        {"amount": {"total": 500, "refund": 2.0}},
        {"amount": {"total": 500, "refund": True}},
        {"amount": {"total": 500, "refund": -1}},
        {"success_time": "yesterday"},
        {"success_time": "2026-09-01T12:05:00"},
    ],
)
def test_what_is_no_refund_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        refund_from({**TOLD, **change})
