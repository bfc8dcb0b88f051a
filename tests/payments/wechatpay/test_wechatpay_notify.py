"""Notifications: what WeChat Pay signed is believed and opened, everything else is refused."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import Forged, Malformed
from payments.wechatpay import crypto
from payments.wechatpay.client import Notification, WechatPay
from tests.payments.wechatpay.signed_server import (
    API_V3_KEY,
    NOW,
    PAID,
    PUBLIC_KEY_ID,
    keys,
    make_client,
    signature_headers,
)
from tests.places import vectors

VECTORS: dict[str, Any] = {vector["id"]: vector for vector in vectors("pay")["vectors"]}
NONCE = "fdasflkja484"
OLD_KEY = "fedcba9876543210fedcba9876543210"


@pytest.fixture(scope="module")
def pay() -> Iterator[WechatPay]:
    # Port 9 answers nobody: a notification that asked somewhere would fail its test.
    client = make_client("http://127.0.0.1:9")
    yield client
    client.disconnect()


def envelope(plain: object = PAID, *, key: str = API_V3_KEY, **changes: Any) -> dict[str, Any]:
    text = plain if isinstance(plain, bytes) else json.dumps(plain, ensure_ascii=False).encode()
    resource = {
        "original_type": "transaction",
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": crypto.seal(key, text, nonce=NONCE, associated_data="transaction"),
        "associated_data": "transaction",
        "nonce": NONCE,
    }
    resource.update(changes.pop("resource", {}))
    whole = {
        "id": "EV-2018022511223320873",
        "create_time": "2026-09-01T12:00:00+08:00",
        "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS",
        "summary": "支付成功",
        "resource": {name: value for name, value in resource.items() if value is not None},
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not None}


def raw(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def deliver(pay: WechatPay, value: object, **how: Any) -> Notification:
    body = value if isinstance(value, bytes) else raw(value)
    return pay.verify_notify(signature_headers(body, **how), body)


@pytest.mark.parametrize("serial", [PUBLIC_KEY_ID, keys().certificate_serial])
def test_a_genuine_notification_is_opened_whichever_key_signed_it(pay: WechatPay, serial: str) -> None:
    notification = deliver(pay, envelope(), serial=serial)
    assert notification.event_id == "EV-2018022511223320873"
    assert notification.event_type == "TRANSACTION.SUCCESS"
    assert notification.serial == serial
    assert notification.resource_plain == PAID
    trade = pay.trade_from(notification.resource_plain)
    assert (trade.trade_state, trade.amount_fen, trade.paid_at) == ("SUCCESS", 500, NOW)


def test_header_names_may_have_any_case_and_the_type_may_be_missing(pay: WechatPay) -> None:
    body = raw(envelope())
    headers = signature_headers(body)
    del headers["Wechatpay-Signature-Type"]
    for written in (
        headers,
        {name.lower(): value for name, value in headers.items()},
        {name.upper(): value for name, value in headers.items()},
        {**headers, "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048", "Cookie": "a=b"},
    ):
        assert pay.verify_notify(written, body).resource_plain == PAID


@pytest.mark.parametrize("resource", [{"associated_data": ""}, {"associated_data": None}])
def test_the_associated_data_may_be_empty_or_absent(pay: WechatPay, resource: dict[str, Any]) -> None:
    sealed = crypto.seal(API_V3_KEY, raw(PAID), nonce=NONCE, associated_data="")
    assert (
        deliver(pay, envelope(resource={**resource, "ciphertext": sealed, "original_type": None}))
    ).resource_plain == PAID


@pytest.mark.parametrize("event_type", VECTORS["notify-refund-plain-doc"]["event_types"])
def test_refund_notifications_are_opened_too(pay: WechatPay, event_type: str) -> None:
    plain = VECTORS["notify-refund-plain-doc"]["plaintext"]
    value = envelope(plain, event_type=event_type, resource={"original_type": "refund"})
    assert deliver(pay, value).resource_plain == plain


def test_a_key_that_was_changed_in_the_console_still_opens_what_was_on_its_way() -> None:
    client = make_client("http://127.0.0.1:9", old_api_v3_keys=[OLD_KEY])
    assert deliver(client, envelope(key=OLD_KEY)).resource_plain == PAID
    assert deliver(client, envelope(key=API_V3_KEY)).resource_plain == PAID
    client.disconnect()


def test_a_notification_that_was_kept_opens_again_at_any_time(pay: WechatPay) -> None:
    again = pay.reopen_notification(raw(envelope()))
    assert (again.event_id, again.serial) == ("EV-2018022511223320873", "")
    assert again.resource_plain == PAID


@pytest.mark.parametrize("skew_s", [-300, 0, 300])
def test_five_minutes_either_way_are_allowed(pay: WechatPay, skew_s: int) -> None:
    assert deliver(pay, envelope(), at=NOW + timedelta(seconds=skew_s)).resource_plain == PAID


@pytest.mark.parametrize("skew_s", [-86_400, -301, 301, 86_400])
def test_stale_and_future_notifications_are_forged(pay: WechatPay, skew_s: int) -> None:
    with pytest.raises(Forged):
        deliver(pay, envelope(), at=NOW + timedelta(seconds=skew_s))


HEADERS = ["Wechatpay-Serial", "Wechatpay-Signature", "Wechatpay-Timestamp", "Wechatpay-Nonce"]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "value", [None, "", " ", "x", "é", "\u0661\u0662", "1" * 2000, "a\nb", "-1", "1e9", "0"]
)
def test_a_missing_or_changed_header_is_forged(pay: WechatPay, name: str, value: str | None) -> None:
    body = raw(envelope())
    headers = signature_headers(body)
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(Forged):
        pay.verify_notify(headers, body)


@pytest.mark.parametrize("kind", ["", "WECHATPAY2-SM2-WITH-SM3", "none"])
def test_another_signature_type_is_forged(pay: WechatPay, kind: str) -> None:
    body = raw(envelope())
    with pytest.raises(Forged):
        pay.verify_notify({**signature_headers(body), "Wechatpay-Signature-Type": kind}, body)


def test_no_headers_at_all_are_forged(pay: WechatPay) -> None:
    with pytest.raises(Forged):
        pay.verify_notify({}, raw(envelope()))


@pytest.mark.parametrize(
    "serial", ["PUB_KEY_ID_0000000000000000000000000000000000", "F5765756002FDD77", "../../etc/passwd", "zz"]
)
def test_an_unknown_serial_is_forged_and_nothing_is_fetched(
    pay: WechatPay, serial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_connects(*_: object) -> None:
        raise AssertionError("a notification made us connect somewhere")

    monkeypatch.setattr(socket.socket, "connect", nobody_connects)
    body = raw(envelope())
    with pytest.raises(Forged):
        pay.verify_notify({**signature_headers(body), "Wechatpay-Serial": serial}, body)


def test_a_probe_is_refused_though_the_rest_is_right(pay: WechatPay) -> None:
    prefix = VECTORS["signtest-prefix"]["signature_prefix"]
    body = raw(envelope())
    headers = signature_headers(body)
    for probe in (prefix + headers["Wechatpay-Signature"], prefix + "AAAA"):
        with pytest.raises(Forged, match="probe"):
            pay.verify_notify({**headers, "Wechatpay-Signature": probe}, body)


def test_the_signature_of_one_key_under_the_name_of_the_other_is_forged(pay: WechatPay) -> None:
    with pytest.raises(Forged):
        deliver(pay, envelope(), serial=PUBLIC_KEY_ID, key=keys().certified)
    with pytest.raises(Forged):
        deliver(pay, envelope(), key=keys().merchant)


@settings(deadline=None)
@given(place=st.integers(0), bit=st.integers(0, 7), drop=st.booleans())
def test_a_body_with_one_bit_or_byte_changed_is_forged(
    pay: WechatPay, place: int, bit: int, *, drop: bool
) -> None:
    body = raw(envelope())
    changed = bytearray(body)
    if drop:
        del changed[place % len(body)]
    else:
        changed[place % len(body)] ^= 1 << bit
    with pytest.raises(Forged):
        pay.verify_notify(signature_headers(body), bytes(changed))


def test_the_same_json_written_differently_is_forged(pay: WechatPay) -> None:
    body = raw(envelope())
    again = json.dumps(json.loads(body), ensure_ascii=True, separators=(",", ":")).encode()
    with pytest.raises(Forged):
        pay.verify_notify(signature_headers(body), again)


@settings(deadline=None)
@given(body=st.binary(max_size=300))
def test_junk_without_a_signature_is_forged(pay: WechatPay, body: bytes) -> None:
    with pytest.raises(Forged):
        pay.verify_notify({"Content-Type": "application/json"}, body)


def test_a_changed_ciphertext_is_refused_even_when_it_was_signed(pay: WechatPay) -> None:
    value = envelope()
    box = bytearray(base64.b64decode(value["resource"]["ciphertext"]))
    box[0] ^= 1
    for resource in (
        {"ciphertext": base64.b64encode(box).decode()},
        {"nonce": "fdasflkja485"},
        {"associated_data": "refund"},
        {"ciphertext": "AAAA"},
        {"ciphertext": "no base64"},
    ):
        with pytest.raises(Forged):
            deliver(pay, envelope(resource=resource))
    with pytest.raises(Forged):
        deliver(pay, envelope(key=OLD_KEY))


def test_the_documents_envelope_with_an_empty_ciphertext_is_malformed(pay: WechatPay) -> None:
    with pytest.raises(Malformed):
        deliver(pay, VECTORS["notify-pay-envelope-doc"]["body"])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 5000,
        b"1" * 5000,
        {},
        envelope(id=None),
        envelope(id=5),
        envelope(id="E" * 200),
        envelope(resource_type="plain"),
        envelope(resource_type=None),
        envelope(event_type="TRANSACTION.FAIL"),
        envelope(event_type=None),
        envelope(event_type=["TRANSACTION.SUCCESS"]),
        envelope(event_type="REFUND.SUCCESS"),
        {**envelope(), "resource": None},
        {**envelope(), "resource": "text"},
        envelope(resource={"algorithm": "AES_128_ECB"}),
        envelope(resource={"algorithm": None}),
        envelope(resource={"original_type": "refund"}),
        envelope(resource={"ciphertext": 5}),
        envelope(resource={"nonce": None}),
        envelope(resource={"associated_data": 5}),
        envelope(b"not json"),
        envelope(b"[1]"),
        envelope(b""),
        envelope(b"\xff"),
    ],
)
def test_a_signed_body_that_is_no_known_notification_is_malformed(pay: WechatPay, value: object) -> None:
    with pytest.raises(Malformed):
        deliver(pay, value)


def test_half_a_surrogate_pair_is_malformed_not_a_crash(pay: WechatPay) -> None:
    body = json.dumps(envelope(id="EV-\ud800")).encode()
    with pytest.raises(Malformed):
        deliver(pay, body)
    body = json.dumps(envelope(resource={"associated_data": "\ud800"})).encode()
    with pytest.raises(Malformed):
        deliver(pay, body)


def test_a_body_over_64_kib_is_not_even_verified(pay: WechatPay) -> None:
    body = raw(envelope(summary="x" * (64 * 1024)))
    with pytest.raises(Malformed, match="too long"):
        deliver(pay, body)


def test_neither_notification_nor_trade_prints_the_payer(pay: WechatPay) -> None:
    notification = deliver(pay, envelope())
    shown = repr(notification) + repr(pay.trade_from(notification.resource_plain))
    assert PAID["payer"]["openid"] not in shown
