"""Who is let in, and how every answer is signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.faults import Fault
from tests.sandbox.pay_rig import PayRig

DATA = json.loads((Path(__file__).parents[1] / "data" / "pay.json").read_text(encoding="utf-8"))
ERRORS = next(vector["cases"] for vector in DATA["vectors"] if vector["id"] == "error-body-shape")


@pytest.fixture(scope="module")
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def test_a_wrong_signature_is_401_with_what_was_signed(rig: PayRig) -> None:
    response = rig.call("GET", "/v3/certificates", signature=base64.b64encode(b"x" * 256).decode())
    assert response.status_code == 401
    body = response.json()
    assert body["code"] == "SIGN_ERROR"
    assert body["detail"]["sign_information"]["url"] == "/v3/certificates"
    assert "Wechatpay-Signature" not in response.headers


def test_a_signature_over_another_body_is_refused(rig: PayRig) -> None:
    signed = rig.authorization("POST", "/v3/pay/transactions/jsapi", json.dumps(rig.order()).encode())
    response = rig.call(
        "POST",
        "/v3/pay/transactions/jsapi",
        rig.order(amount={"total": 1}),
        headers={"Authorization": signed},
    )
    assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")


def test_a_signature_over_another_query_is_refused(rig: PayRig) -> None:
    signed = rig.authorization("GET", "/v3/certificates", b"")
    response = rig.call("GET", "/v3/certificates?a=1", headers={"Authorization": signed})
    assert response.json()["code"] == "SIGN_ERROR"


@pytest.mark.parametrize("age_s", [-301, 301])
def test_five_minutes_are_the_limit_and_come_before_the_signature(rig: PayRig, age_s: int) -> None:
    timestamp = str(int(rig.engine.clock.timestamp()) - age_s)
    response = rig.call("GET", "/v3/certificates", timestamp=timestamp, signature="AAAA")
    assert response.status_code == 401
    assert "timestamp与发起请求的时间不得超过5分钟" in response.json()["message"]


@pytest.mark.parametrize("timestamp", ["", "x", "１２３", "-5"])
def test_a_timestamp_that_is_no_number_is_401(rig: PayRig, timestamp: str) -> None:
    authorization = rig.authorization("GET", "/v3/certificates", b"", timestamp=timestamp)
    sent = authorization.encode().decode("latin-1")
    response = rig.call("GET", "/v3/certificates", headers={"Authorization": sent})
    assert response.status_code == 401


def test_another_serial_or_merchant_is_401(rig: PayRig) -> None:
    wrong_serial = rig.call("GET", "/v3/certificates", serial_no="0" * 40)
    assert wrong_serial.status_code == 401
    assert wrong_serial.json()["message"].startswith(ERRORS[1]["message"])
    assert rig.call("GET", "/v3/certificates", mchid="1900000001").status_code == 401


def test_no_authorization_is_401(rig: PayRig) -> None:
    response = rig.call("GET", "/v3/certificates", headers={"Authorization": None})
    assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")


@pytest.mark.parametrize("name", ["Accept", "User-Agent"])
def test_user_agent_and_accept_are_required(rig: PayRig, name: str) -> None:
    response = rig.call("GET", "/v3/certificates", headers={name: ""})
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")


def test_an_unknown_path_is_404_and_a_wrong_verb_405_both_empty(rig: PayRig) -> None:
    for method, target, status in (
        ("GET", "/v3/nothing", 404),
        ("GET", "/v3/pay/transactions/jsapi", 405),
        ("DELETE", "/v3/certificates", 405),
        ("OPTIONS", "/v3/certificates", 405),
        ("POST", "/v3/pay/transactions/out-trade-no/R202501010001", 405),
    ):
        response = rig.call(method, target)
        assert (response.status_code, response.content) == (status, b"")


def test_public_key_mode_has_no_certificates(rig: PayRig) -> None:
    response = rig.call("GET", "/v3/certificates")
    expected = ERRORS[2]
    assert response.status_code == expected["status"]
    assert response.json() == {name: expected[name] for name in ("code", "message")}


def test_the_certificate_comes_sealed_with_the_api_key(rig: PayRig) -> None:
    rig.sim("mode", {"mode": "certificate"})
    try:
        response = rig.call("GET", "/v3/certificates", headers={"Wechatpay-Serial": None})
    finally:
        rig.sim("mode", {"mode": "public_key"})
    assert rig.verify(response.headers, response.content) == rig.credentials.platform_serial
    (entry,) = response.json()["data"]
    box = entry["encrypt_certificate"]
    aead = AESGCM(rig.credentials.api_v3_key.encode())
    opened = aead.decrypt(
        box["nonce"].encode(), base64.b64decode(box["ciphertext"]), box["associated_data"].encode()
    )
    assert opened.decode() == rig.credentials.platform_cert_pem
    assert entry["serial_no"] == rig.credentials.platform_serial


def test_an_answer_is_signed_with_the_key_the_request_names(rig: PayRig) -> None:
    rig.prepay("KEY0000001")
    for asked, serial in (
        (rig.credentials.public_key_id, rig.credentials.public_key_id),
        (rig.credentials.platform_serial, rig.credentials.platform_serial),
        (None, rig.credentials.platform_serial),
    ):
        response = rig.query("KEY0000001", headers={"Wechatpay-Serial": asked})
        assert rig.verify(response.headers, response.content) == serial
        assert response.headers["Wechatpay-Signature-Type"] == "WECHATPAY2-SHA256-RSA2048"
        assert response.headers["Request-ID"]


def test_an_unknown_answer_key_is_refused(rig: PayRig) -> None:
    response = rig.query("KEY0000001", headers={"Wechatpay-Serial": "PUB_KEY_ID_0"})
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


def test_a_204_signs_the_empty_body(rig: PayRig) -> None:
    rig.prepay("CLOSE00001")
    response = rig.close("CLOSE00001")
    assert (response.status_code, response.content) == (204, b"")
    assert rig.verify(response.headers, b"")


def test_refusals_are_not_signed_but_carry_a_request_id(rig: PayRig) -> None:
    response = rig.query("NEVER00001")
    assert (response.status_code, response.json()["code"]) == (404, "ORDER_NOT_EXIST")
    assert "Wechatpay-Signature" not in response.headers
    assert response.headers["Request-ID"].rpartition("-")[2].isdigit()


def test_the_log_shows_the_signed_string_and_the_verdict(rig: PayRig) -> None:
    rig.prepay("LOG0000001")
    exchange = rig.engine.wire.since(0)[-1]
    assert (exchange.direction, exchange.kind, exchange.status) == ("in", "pay.prepay", 200)
    assert exchange.signed.startswith("POST\n/v3/pay/transactions/jsapi\n")
    assert "应答签名串" in exchange.signed
    assert exchange.verdict == "商户签名正确"
    rig.call("POST", "/v3/pay/transactions/jsapi", rig.order(), signature="AAAA")
    assert "验签失败" in rig.engine.wire.since(0)[-1].verdict


FIELD_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("total of zero", {"amount": {"total": 0}}, "/amount/total"),
    ("total in yuan", {"amount": {"total": 5.0}}, "/amount/total"),
    ("total as text", {"amount": {"total": "500"}}, "/amount/total"),
    ("total true", {"amount": {"total": True}}, "/amount/total"),
    ("no amount", {"amount": None}, "/amount"),
    ("unknown amount field", {"amount": {"total": 1, "sum": 1}}, "/amount"),
    ("currency", {"amount": {"total": 1, "currency": "XYZ"}}, "/amount/currency"),
    ("openid unknown", {"payer": {"openid": "oNobody"}}, "/payer/openid"),
    ("no payer", {"payer": {}}, "/payer/openid"),
    ("number too short", {"out_trade_no": "A1234"}, "/out_trade_no"),
    ("number too long", {"out_trade_no": "A" * 33}, "/out_trade_no"),
    ("number with a dot", {"out_trade_no": "A.12345"}, "/out_trade_no"),
    ("number with a line feed", {"out_trade_no": "A12345\n"}, "/out_trade_no"),
    ("description too long", {"description": "网" * 128}, "/description"),
    ("description empty", {"description": ""}, "/description"),
    ("attach too long", {"attach": "x" * 129}, "/attach"),
    ("http elsewhere", {"notify_url": "http://example.com/n"}, "/notify_url"),
    ("a query", {"notify_url": "https://example.com/n?a=1"}, "/notify_url"),
    ("no host", {"notify_url": "https:///n"}, "/notify_url"),
    ("a broken host", {"notify_url": "https://[::1/n"}, "/notify_url"),
    ("url too long", {"notify_url": "https://example.com/" + "n" * 240}, "/notify_url"),
    ("time without zone", {"time_expire": "2030-01-01T00:00:00"}, "/time_expire"),
    ("time of another shape", {"time_expire": "20300101000000"}, "/time_expire"),
    ("another merchant", {"mchid": "1900000001"}, "/mchid"),
    ("a field nobody documented", {"openid": "x"}, "/openid"),
]


@pytest.mark.parametrize(
    ("changed", "field"), [case[1:] for case in FIELD_CASES], ids=[case[0] for case in FIELD_CASES]
)
def test_a_broken_field_is_named(rig: PayRig, changed: dict[str, Any], field: str) -> None:
    response = rig.call("POST", "/v3/pay/transactions/jsapi", rig.order("FIELD00001") | changed)
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")
    assert response.json()["detail"]["field"] == field
    assert response.json()["detail"].keys() == ERRORS[0]["body"]["detail"].keys()


def test_the_longest_allowed_values_pass(rig: PayRig) -> None:
    response = rig.prepay(
        "A_-|*" + "9" * 27, description="网" * 127, attach="x" * 128, time_expire="2099-01-01T00:00:00+08:00"
    )
    assert response.status_code == 200
    assert len(response.json()["prepay_id"]) <= 64


def test_an_appid_of_somebody_else_does_not_match(rig: PayRig) -> None:
    response = rig.prepay("APPID00001", appid="wx0000000000000000")
    assert (response.status_code, response.json()["code"]) == (400, "APPID_MCHID_NOT_MATCH")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe"])
def test_a_body_that_is_no_object_is_a_param_error(rig: PayRig, body: bytes) -> None:
    response = rig.call("POST", "/v3/pay/transactions/jsapi", body)
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


def test_a_query_without_the_merchant_is_a_param_error(rig: PayRig) -> None:
    response = rig.call("GET", "/v3/pay/transactions/out-trade-no/R202501010001")
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


def test_an_encoded_number_is_verified_as_sent(rig: PayRig) -> None:
    rig.prepay("A|12345*")
    response = rig.query("A%7C12345*")
    assert response.json()["out_trade_no"] == "A|12345*"


@pytest.mark.parametrize(("fault", "error"), [("unsigned", KeyError), ("wrong_key", InvalidSignature)])
def test_a_spoiled_answer_does_not_verify(rig: PayRig, fault: str, error: type[Exception]) -> None:
    rig.prepay("SPOIL00001")
    rig.engine.faults.add(Fault(fault, "pay.query"))
    response = rig.query("SPOIL00001")
    assert response.status_code == 200
    with pytest.raises(error):
        rig.verify(response.headers, response.content)
    after = rig.query("SPOIL00001")
    assert rig.verify(after.headers, after.content)
