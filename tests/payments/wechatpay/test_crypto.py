from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.wechatpay import crypto
from tests.places import vectors

VECTORS: dict[str, Any] = {vector["id"]: vector for vector in vectors("pay")["vectors"]}
KEY = "0123456789abcdef0123456789abcdef"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(kind: serialization.PrivateFormat, password: bytes | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return rsa_key().private_bytes(serialization.Encoding.PEM, kind, encryption).decode()


def test_official_request_signature_verifies() -> None:
    vector = VECTORS["req-sign-doc-jsapi"]
    message = crypto.request_message(
        vector["method"], vector["url"], vector["timestamp"], vector["nonce_str"], vector["body"].encode()
    )
    assert message.decode() == vector["expected_message"]
    key = crypto.load_public_key(vector["public_key_pem"])
    assert crypto.verify(key, message, vector["signature_b64"])
    assert not crypto.verify(key, message + b"\n", vector["signature_b64"])


def test_official_jsapi_signature_verifies() -> None:
    vector = VECTORS["jsapi-paysign-doc"]
    message = crypto.jsapi_message(
        vector["appId"], vector["timeStamp"], vector["nonceStr"], vector["package"]
    )
    assert message.decode() == vector["expected_message"]
    assert crypto.verify(crypto.load_public_key(vector["public_key_pem"]), message, vector["paySign_b64"])


def test_an_app_signature_is_no_jsapi_signature() -> None:
    vector = VECTORS["app-sign-doc"]
    key = crypto.load_public_key(vector["public_key_pem"])
    package = f"prepay_id={vector['prepayId']}"
    message = crypto.jsapi_message(vector["appId"], vector["timeStamp"], vector["nonceStr"], package)
    assert not crypto.verify(key, message, vector["sign_b64"])
    assert crypto.verify(key, vector["expected_message"].encode(), vector["sign_b64"])


@pytest.mark.parametrize("case", VECTORS["rsa-verify-go"]["cases"])
def test_the_go_sdks_verdicts_are_ours(case: dict[str, Any]) -> None:
    vector = VECTORS["rsa-verify-go"]
    serial, key, _ = crypto.load_certificate(vector["certificate_pem"])
    verdict = case["serial"] == serial and crypto.verify(key, case["message"].encode(), case["signature_b64"])
    assert verdict is case["valid"]


def test_certificate_and_public_key_of_the_go_sdk_agree() -> None:
    vector = VECTORS["rsa-verify-go"]
    serial, key, ends_at = crypto.load_certificate(vector["certificate_pem"])
    assert serial == vector["serial"]
    assert key == crypto.load_public_key(vector["public_key_pem"])
    assert ends_at == datetime(2031, 4, 25, 8, 40, 32, tzinfo=UTC)


@pytest.mark.parametrize("case", VECTORS["auth-header-go"]["cases"])
def test_the_string_to_sign_is_the_go_sdks(case: dict[str, str]) -> None:
    vector = VECTORS["auth-header-go"]
    message = crypto.request_message(
        case["method"], case["url"], vector["timestamp"], vector["nonce_str"], case["body"].encode()
    )
    assert message.decode() == case["message"]


def test_the_authorization_header_holds_the_five_pairs() -> None:
    vector = VECTORS["auth-header-axios"]
    args = vector["args"]
    header = crypto.authorization(
        mch_id=args["mchid"],
        serial=args["serial_no"],
        timestamp=args["timestamp"],
        nonce=args["nonce_str"],
        signature=args["signature"],
    )

    def parts(text: str) -> tuple[str, set[str]]:
        scheme, _, pairs = text.partition(" ")
        return scheme, set(pairs.split(","))

    assert parts(header) == parts(vector["expected"])


@pytest.mark.parametrize("case", VECTORS["lf-join-axios"]["cases"])
def test_every_line_ends_even_an_empty_one(case: dict[str, Any]) -> None:
    if "request" in case:
        method, url, timestamp, nonce, body = case["request"]
        message = crypto.request_message(method, url, timestamp, nonce, body.encode())
    else:
        timestamp, nonce, body = case["response"]
        message = crypto.answer_message(timestamp, nonce, body.encode())
    assert message.decode() == case["expected"]


@pytest.mark.parametrize("case", VECTORS["aead-axios"]["cases"])
def test_sealed_texts_of_the_axios_plugin_open(case: dict[str, Any]) -> None:
    def opened() -> bytes:
        return crypto.unseal(
            case["apiv3_key"],
            case["ciphertext_b64"],
            nonce=case["nonce"],
            associated_data=case["associated_data"],
        )

    if not case["ok"]:
        with pytest.raises(crypto.Undecipherable):
            opened()
        return
    assert opened().decode() == case["plaintext"]
    sealed = crypto.seal(
        case["apiv3_key"],
        case["plaintext"].encode(),
        nonce=case["nonce"],
        associated_data=case["associated_data"],
    )
    assert sealed == case["ciphertext_b64"]


def test_the_go_sdks_certificate_answer_opens() -> None:
    vector = VECTORS["certificates-go"]
    entry = json.loads(vector["response_body"])["data"][0]
    sealed = entry["encrypt_certificate"]
    plain = crypto.unseal(
        vector["apiv3_key"],
        sealed["ciphertext"],
        nonce=sealed["nonce"],
        associated_data=sealed["associated_data"],
    ).decode()
    assert plain.strip() == vector["expected_certificate_pem"].strip()
    assert crypto.load_certificate(plain)[0] == vector["expected_serial_no"] == entry["serial_no"]


@settings(deadline=None)
@given(message=st.binary(max_size=300), other=st.binary(max_size=300))
def test_a_signature_fits_its_message_only(message: bytes, other: bytes) -> None:
    signature = crypto.sign(rsa_key(), message)
    assert crypto.verify(rsa_key().public_key(), message, signature)
    assert crypto.verify(rsa_key().public_key(), other, signature) is (other == message)


@pytest.mark.parametrize("junk", ["\n", " ", "!", "-", "\u00e9"])
def test_a_signature_has_one_spelling(junk: str) -> None:
    signature = crypto.sign(rsa_key(), b"message")
    for written in (signature + junk, junk + signature, signature[:9] + junk + signature[9:]):
        assert not crypto.verify(rsa_key().public_key(), b"message", written)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_whatever_is_no_signature_is_simply_wrong(signature: str) -> None:
    assert crypto.verify(rsa_key().public_key(), b"message", signature) is False


@settings(deadline=None)
@given(plain=st.binary(max_size=300), aad=st.text(max_size=40), place=st.integers(0), bit=st.integers(0, 7))
def test_a_sealed_text_opens_unless_one_bit_changed(plain: bytes, aad: str, place: int, bit: int) -> None:
    aad = aad.encode("utf-8", "ignore").decode()
    sealed = crypto.seal(KEY, plain, nonce="0123456789ab", associated_data=aad)
    assert crypto.unseal(KEY, sealed, nonce="0123456789ab", associated_data=aad) == plain
    box = bytearray(base64.b64decode(sealed))
    box[place % len(box)] ^= 1 << bit
    for changed, nonce, data in (
        (base64.b64encode(box).decode(), "0123456789ab", aad),
        (sealed, "0123456789ac", aad),
        (sealed, "0123456789ab", aad + "x"),
    ):
        with pytest.raises(crypto.Undecipherable):
            crypto.unseal(KEY, changed, nonce=nonce, associated_data=data)


@pytest.mark.parametrize(
    ("ciphertext", "nonce"), [("not base64!", "0123456789ab"), ("AAAA", "0123456789ab"), ("GvpmmdtY", "")]
)
def test_an_odd_sealed_text_is_undecipherable_not_a_crash(ciphertext: str, nonce: str) -> None:
    with pytest.raises(crypto.Undecipherable):
        crypto.unseal(KEY, ciphertext, nonce=nonce, associated_data="")


@pytest.mark.parametrize(
    "kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_private_keys_load_from_either_pem_and_any_line_end(kind: serialization.PrivateFormat) -> None:
    text = pem(kind)
    for written in (text, text.replace("\n", "\r\n"), "\n  " + text.replace("\n", " \n"), "\ufeff" + text):
        assert crypto.load_private_key(written).private_numbers() == rsa_key().private_numbers()


def test_certificates_and_public_keys_load_with_windows_line_ends() -> None:
    vector = VECTORS["rsa-verify-go"]
    windows = vector["certificate_pem"].replace("\n", "\r\n")
    assert crypto.load_certificate(windows) == crypto.load_certificate(vector["certificate_pem"])
    windows = vector["public_key_pem"].replace("\n", "\r\n")
    assert crypto.load_public_key(windows) == crypto.load_public_key(vector["public_key_pem"])


def unusable() -> dict[str, str]:
    pkcs8 = serialization.PrivateFormat.PKCS8
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, pkcs8, serialization.NoEncryption()
    )
    short = rsa_key(1024).private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
    return {
        "empty": "",
        "words": "no key at all",
        "cut": pem(pkcs8)[:-200],
        "locked": pem(pkcs8, b"password"),
        "not RSA": curve.decode(),
        "short": short.decode(),
    }


@pytest.mark.parametrize("name", ["empty", "words", "cut", "locked", "not RSA", "short"])
def test_an_unusable_key_is_named_without_being_shown(name: str) -> None:
    text = unusable()[name]
    for load in (crypto.load_private_key, crypto.load_public_key, crypto.load_certificate):
        with pytest.raises(crypto.BadKey) as caught:
            load(text)
        assert len(str(caught.value)) < 80


@pytest.mark.parametrize(
    ("number", "serial"),
    [(0xF5765756002FDD77, "F5765756002FDD77"), (0x0A1B2C, "0A1B2C"), (0xA, "0A"), (0, "00")],
)
def test_a_serial_keeps_its_leading_zero(number: int, serial: str) -> None:
    assert crypto.certificate_serial(number) == serial


def test_a_certificate_with_a_leading_zero_is_known_by_forty_digits() -> None:
    number = int("0" + "7" * 39, 16)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key().public_key())
        .serial_number(number)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1))
        .sign(rsa_key(), hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    assert crypto.load_certificate(text)[0] == "0" + "7" * 39
