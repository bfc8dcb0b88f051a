"""What a call sends, and what it returns when all is well."""

from __future__ import annotations

import gzip
import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from models.errors import Malformed, Unknown
from payments.wechatpay import crypto
from payments.wechatpay.client import (
    WechatPay,
)
from tests.payments.wechatpay.signed_server import (
    API_V3_KEY,
    APP_ID,
    GOOD,
    MCH_ID,
    MERCHANT_SERIAL,
    NOW,
    ORDER_NO,
    PAID,
    PUBLIC_KEY_ID,
    UNPAID,
    Answer,
    Seen,
    SignedServer,
    close,
    good,
    keys,
    make_client,
    make_config,
    prepay,
    query,
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


def check_request(seen: Seen) -> None:
    """The request verifies as WeChat verifies it: exact target, exact body."""
    scheme, _, pairs = seen.headers["Authorization"].partition(" ")
    values = dict(re.findall(r'([a-z_]+)="([^"]*)"', pairs))
    assert scheme == "WECHATPAY2-SHA256-RSA2048"
    assert (values["mchid"], values["serial_no"]) == (MCH_ID, MERCHANT_SERIAL)
    assert values["timestamp"] == str(int(NOW.timestamp()))
    message = crypto.request_message(
        seen.method, seen.target, values["timestamp"], values["nonce_str"], seen.body
    )
    assert crypto.verify(keys().merchant.public_key(), message, values["signature"])
    assert seen.headers["Wechatpay-Serial"] == PUBLIC_KEY_ID
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["User-Agent"]


def test_prepay_sends_the_order_signed_and_returns_the_id(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(*GOOD[prepay])]
    assert prepay(pay) == "wx2611215250487459928b659bd466620000"
    seen = server.seen[0]
    check_request(seen)
    assert (seen.method, seen.target) == ("POST", "/v3/pay/transactions/jsapi")
    assert seen.headers["Content-Type"] == "application/json"
    assert "校园网充值".encode() in seen.body
    assert json.loads(seen.body) == {
        "appid": APP_ID,
        "mchid": MCH_ID,
        "description": "校园网充值",
        "out_trade_no": ORDER_NO,
        "time_expire": "2026-09-01T12:15:00+08:00",
        "notify_url": "https://net.example.edu.cn/wechatpay/notify",
        "amount": {"total": 500, "currency": "CNY"},
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    }


def test_the_same_order_is_sent_again_byte_for_byte(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(*GOOD[prepay]), signed(*GOOD[prepay])]
    prepay(pay)
    prepay(pay)
    assert server.seen[0].body == server.seen[1].body
    assert server.seen[0].headers["Authorization"] != server.seen[1].headers["Authorization"]


def test_query_returns_the_payment_in_our_types(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(200, PAID)]
    trade = pay.query(ORDER_NO)
    check_request(server.seen[0])
    assert server.seen[0].target == f"/v3/pay/transactions/out-trade-no/{ORDER_NO}?mchid={MCH_ID}"
    assert "Content-Type" not in server.seen[0].headers
    assert trade.trade_state == "SUCCESS"
    assert (trade.app_id, trade.mch_id, trade.out_trade_no) == (APP_ID, MCH_ID, ORDER_NO)
    assert trade.transaction_id == "4200001234202609010000000001"
    assert trade.openid == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    assert (trade.amount_fen, trade.currency) == (500, "CNY")
    assert trade.paid_at == NOW
    assert trade.raw_state_desc == "支付成功"


def test_an_unpaid_order_has_none_of_the_payments_fields(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(200, UNPAID)]
    trade = pay.query(ORDER_NO)
    assert trade.trade_state == "NOTPAY"
    assert (trade.transaction_id, trade.openid, trade.amount_fen, trade.paid_at) == (None, None, None, None)


def test_close_is_done_when_the_empty_answer_is_signed(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(204)]
    pay.close(ORDER_NO)
    check_request(server.seen[0])
    assert server.seen[0].target == f"/v3/pay/transactions/out-trade-no/{ORDER_NO}/close"
    assert json.loads(server.seen[0].body) == {"mchid": MCH_ID}


def test_an_answer_signed_with_the_pinned_certificate_is_believed(
    pay: WechatPay, server: SignedServer
) -> None:
    serial = keys().certificate_serial
    server.answers = [signed(200, PAID, serial=serial), signed(200, PAID, serial=serial.lstrip("0").lower())]
    assert pay.query(ORDER_NO) == pay.query(ORDER_NO)


def test_without_a_public_key_no_key_is_asked_for(server: SignedServer) -> None:
    client = make_client(server.url, public_keys={})
    server.answers = [signed(200, PAID, serial=keys().certificate_serial)]
    client.query(ORDER_NO)
    client.disconnect()
    assert "Wechatpay-Serial" not in server.seen[0].headers


def test_a_connection_is_used_again(pay: WechatPay, server: SignedServer) -> None:
    server.answers = [signed(*GOOD[prepay]), signed(200, PAID), signed(204), signed(200, UNPAID)]
    prepay(pay)
    query(pay)
    close(pay)
    query(pay)
    assert len({seen.port for seen in server.seen}) == 1


def test_a_compressed_answer_is_verified_on_what_was_compressed(pay: WechatPay, server: SignedServer) -> None:
    body = json.dumps(PAID).encode()
    headers = {**signature_headers(body), "Content-Encoding": "gzip"}
    server.answers = [Answer(200, gzip.compress(body), headers)]
    assert pay.query(ORDER_NO).trade_state == "SUCCESS"
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


def test_the_pages_arguments_are_strings_signed_with_the_merchant_key(pay: WechatPay) -> None:
    params = pay.jsapi_params("wx201410272009395522657a690389285100")
    assert set(params) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert all(isinstance(value, str) for value in params.values())
    assert (params["appId"], params["signType"]) == (APP_ID, "RSA")
    assert params["timeStamp"] == str(int(NOW.timestamp()))
    assert params["package"] == "prepay_id=wx201410272009395522657a690389285100"
    message = crypto.jsapi_message(APP_ID, params["timeStamp"], params["nonceStr"], params["package"])
    assert crypto.verify(keys().merchant.public_key(), message, params["paySign"])
    assert pay.jsapi_params("wx1")["nonceStr"] != params["nonceStr"]


@pytest.mark.parametrize(
    "number", ["", "12345", "1" * 33, "2026|0901", "2026/../01", "a b c d", "订单号码一二"]
)
def test_an_order_number_that_signs_differently_elsewhere_is_a_bug(pay: WechatPay, number: str) -> None:
    with pytest.raises(ValueError, match="out_trade_no"):
        pay.query(number)
    with pytest.raises(ValueError, match="out_trade_no"):
        pay.close(number)


@pytest.mark.parametrize(
    "change",
    [
        {"api_v3_key": "short"},
        {"old_api_v3_keys": ["short"]},
        {"merchant_key_pem": "no key"},
        {"public_keys": {}, "platform_certs": []},
        {"public_keys": {PUBLIC_KEY_ID: "no key"}},
        {"public_keys": {"F5765756002FDD77": "no key"}},
        {"platform_certs": ["no certificate"]},
        {"mch_id": "19000&x=1"},
        {"api_base": "https://api.mch.weixin.qq.com/"},
        {"api_base": "https://api.mch.weixin.qq.com/v3"},
        {"api_base": "ftp://api.mch.weixin.qq.com"},
        {"api_base": "api.mch.weixin.qq.com"},
    ],
)
def test_a_configuration_that_cannot_work_stops_the_start(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - several causes, none may show a secret
        make_client(**{"api_base": "https://api.mch.weixin.qq.com", **change})
    assert API_V3_KEY not in str(caught.value)


def test_the_configuration_does_not_print_its_secrets() -> None:
    shown = repr(make_config("https://api.mch.weixin.qq.com"))
    assert MCH_ID in shown
    assert API_V3_KEY not in shown
    assert "PRIVATE KEY" not in shown


def test_nothing_that_belongs_to_the_payer_is_logged_or_in_an_error(
    pay: WechatPay, server: SignedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers = [signed(*GOOD[prepay]), signed(200, PAID), unsigned(query)]
    prepay(pay)
    trade = pay.query(ORDER_NO)
    with pytest.raises(Unknown) as caught:
        pay.query(ORDER_NO)
    told = caplog.text + str(caught.value) + repr(trade) + repr(pay)
    for secret in ("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", API_V3_KEY, "WECHATPAY2", "校园网充值"):
        assert secret not in told


def test_proxies_and_cookies_of_the_surroundings_are_not_used(
    server: SignedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = make_client(server.url)
    first = good(close)
    first.headers["Set-Cookie"] = "session=1"
    server.answers = [first, good(close)]
    close(client)
    close(client)
    client.disconnect()
    assert "Cookie" not in server.seen[1].headers


def test_many_threads_share_one_client(pay: WechatPay, server: SignedServer) -> None:
    def answer(seen: Seen) -> Answer:
        number = seen.target.split("/")[5].partition("?")[0]
        return signed(200, {**PAID, "out_trade_no": number})

    server.answers = [answer] * 40
    found: list[str] = []

    def ask(worker: int) -> None:
        for step in range(5):
            number = f"20260901R{worker:04d}{step:04d}"
            if pay.query(number).out_trade_no == number:
                found.append(number)

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 40
    for seen in server.seen:
        check_request(seen)


def test_a_stranger_key_is_really_strange() -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert other.public_key() != keys().platform.public_key()


def test_trade_from_names_the_field_that_is_wrong(pay: WechatPay) -> None:
    with pytest.raises(Malformed, match="out_trade_no"):
        pay.trade_from({**PAID, "out_trade_no": 5})
