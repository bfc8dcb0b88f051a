"""The vectors others published, against the sandbox's own cryptography."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from sandbox.pay import crypto, keys, notify
from tests.places import vectors
from tests.sandbox.pay_rig import credentials

DATA = vectors("pay")
VECTORS: dict[str, Any] = {vector["id"]: vector for vector in DATA["vectors"]}


def public_key(vector: dict[str, Any]) -> RSAPublicKey:
    return cast("RSAPublicKey", load_pem_public_key(vector["public_key_pem"].encode()))


def test_the_document_s_request_signature_verifies() -> None:
    vector = VECTORS["req-sign-doc-jsapi"]
    message = crypto.request_message(
        vector["method"], vector["url"], vector["timestamp"], vector["nonce_str"], vector["body"].encode()
    )
    assert message.decode() == vector["expected_message"]
    assert crypto.verify(public_key(vector), message, vector["signature_b64"])
    assert not crypto.verify(public_key(vector), message + b" ", vector["signature_b64"])


def test_the_document_s_pay_sign_verifies_and_the_app_signature_does_not() -> None:
    vector = VECTORS["jsapi-paysign-doc"]
    message = crypto.pay_message(vector["appId"], vector["timeStamp"], vector["nonceStr"], vector["package"])
    assert message.decode() == vector["expected_message"]
    assert crypto.verify(public_key(vector), message, vector["paySign_b64"])
    assert not crypto.verify(public_key(vector), message, VECTORS["app-sign-doc"]["sign_b64"])


@pytest.mark.parametrize("case", VECTORS["rsa-verify-go"]["cases"])
def test_each_row_of_the_verification_table(case: dict[str, Any]) -> None:
    vector = VECTORS["rsa-verify-go"]
    certificate = load_pem_x509_certificate(vector["certificate_pem"].encode())
    known = case["serial"] == vector["serial"]
    for key in (public_key(vector), cast("RSAPublicKey", certificate.public_key())):
        good = crypto.verify(key, case["message"].encode(), case["signature_b64"])
        assert (known and good) is case["valid"]


@pytest.mark.parametrize("case", VECTORS["auth-header-go"]["cases"])
def test_request_messages_are_those_of_the_go_sdk(case: dict[str, Any]) -> None:
    vector = VECTORS["auth-header-go"]
    message = crypto.request_message(
        case["method"], case["url"], str(vector["timestamp"]), vector["nonce_str"], case["body"].encode()
    )
    assert message.decode() == case["message"]


def test_an_authorization_is_read_in_any_order() -> None:
    vector = VECTORS["auth-header-axios"]
    expected = {name: str(value) for name, value in vector["args"].items()}
    assert crypto.parse_authorization(vector["expected"]) == expected
    go_order = 'mchid="1",nonce_str="2",timestamp="4",serial_no="5",signature="3"'
    assert crypto.parse_authorization(f"{crypto.SCHEME} {go_order}") == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer x",
        VECTORS["auth-header-go"]["header_prefix"] + '"x"',
        f'{crypto.SCHEME} mchid="1",nonce_str="2",timestamp="4",serial_no="5"',
        f'{crypto.SCHEME} mchid="1",mchid="1",nonce_str="2",timestamp="4",serial_no="5",signature="3"',
        f'{crypto.SCHEME} mchid="1",nonce_str="2",timestamp="4",serial_no="5",signature="3",more="6"',
        f"{crypto.SCHEME} mchid=1,nonce_str=2,timestamp=4,serial_no=5,signature=3",
    ],
)
def test_an_authorization_of_another_shape_is_none(header: str) -> None:
    assert crypto.parse_authorization(header) is None


@pytest.mark.parametrize("case", VECTORS["lf-join-axios"]["cases"])
def test_every_part_ends_with_a_line_feed(case: dict[str, Any]) -> None:
    if "request" in case:
        parts = [str(part) for part in case["request"]]
        message = crypto.request_message(parts[0], parts[1], parts[2], parts[3], parts[4].encode())
    else:
        parts = [str(part) for part in case["response"]]
        message = crypto.answer_message(parts[0], parts[1], parts[2].encode())
    assert message.decode() == case["expected"]


@pytest.mark.parametrize("case", VECTORS["aead-axios"]["cases"])
def test_sealed_boxes_open_or_are_refused(case: dict[str, Any]) -> None:
    names = {"nonce": case["nonce"], "associated_data": case["associated_data"]}
    if not case["ok"]:
        with pytest.raises((InvalidTag, ValueError)):
            crypto.unseal(case["apiv3_key"], case["ciphertext_b64"], **names)
        return
    plaintext = case["plaintext"].encode()
    assert crypto.unseal(case["apiv3_key"], case["ciphertext_b64"], **names) == plaintext
    assert crypto.seal(case["apiv3_key"], plaintext, **names) == case["ciphertext_b64"]


def test_the_published_certificates_answer_opens() -> None:
    vector = VECTORS["certificates-go"]
    body = json.loads(vector["response_body"])
    entry = next(item for item in body["data"] if item["serial_no"] == vector["expected_serial_no"])
    box = entry["encrypt_certificate"]
    assert box.keys() == {"algorithm", "nonce", "associated_data", "ciphertext"}
    opened = crypto.unseal(
        vector["apiv3_key"], box["ciphertext"], nonce=box["nonce"], associated_data=box["associated_data"]
    )
    assert opened.decode().strip() == vector["expected_certificate_pem"].strip()


def test_the_retry_schedule_is_the_vendor_s() -> None:
    vector = VECTORS["notify-retry-schedule"]
    unit_s = {"s": 1, "m": 60, "h": 3600}
    expected = tuple(int(text[:-1]) * unit_s[text[-1]] for text in vector["intervals"])
    assert expected == notify.RETRY_AFTER_S
    assert len(notify.RETRY_AFTER_S) == vector["max_retries"]
    assert f"{notify.DEADLINE_S:.0f}s" == vector["ack_deadline"]
    assert sum(notify.RETRY_AFTER_S) == 24 * 3600 + 4 * 60


def test_the_probe_begins_with_the_vendor_s_prefix() -> None:
    signed = keys.PlatformKeys(credentials()).headers(credentials().public_key_id, b"{}", 0, spoil="signtest")
    assert signed["Wechatpay-Signature"].startswith(VECTORS["signtest-prefix"]["signature_prefix"])
