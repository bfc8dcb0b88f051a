from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from billing.embedded import entrance
from models.errors import Forged, Malformed, Mismatch, ServiceError, Unavailable
from tests.billing.network import Nas
from tests.web.world import ACCOUNTING_SECRET, OWN, World


def test_the_echo_comes_back_as_plain_text(reader: FlaskClient) -> None:
    answer = reader.get("/wechat?signature=s&echostr=12345")
    assert (answer.status_code, answer.text) == (200, "12345")
    assert answer.content_type == "text/plain; charset=utf-8"


def test_an_echo_without_signature_is_forbidden(reader: FlaskClient) -> None:
    answer = reader.get("/wechat?echostr=<script>")
    assert (answer.status_code, answer.text) == (403, "")


def test_a_push_is_answered_with_what_the_callback_says(reader: FlaskClient) -> None:
    answer = reader.post("/wechat?x=1", data=b"<xml/>")
    assert (answer.status_code, answer.text) == (200, "<xml>6</xml>")
    assert answer.content_type == "application/xml; charset=utf-8"


def test_a_payment_notice_is_204_after_it_was_taken(world: World, reader: FlaskClient) -> None:
    answer = reader.post("/wechatpay/notify", data=b'{"id":"1"}', headers={"Wechatpay-Signature": "sig"})
    assert (answer.status_code, answer.data) == (204, b"")
    headers, body = world.notified[0]
    assert body == b'{"id":"1"}'
    assert headers["Wechatpay-Signature"] == "sig"


@pytest.mark.parametrize(
    ("error", "status"),
    [(Forged("x"), 403), (Malformed("x"), 400), (Unavailable("x"), 503), (Mismatch("amount", "r1"), 500),
     (ServiceError("x"), 500), (RuntimeError("secret"), 500)],
)  # fmt: skip
def test_a_payment_notice_that_was_not_taken_is_fail(world: World, error: Exception, status: int) -> None:
    world.notify_error = error
    answer = world.reader().post("/wechatpay/notify", data=b"{}")
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["code"] == "FAIL"
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/wechat", "/wechatpay/notify"])
def test_a_huge_body_is_refused_unread(world: World, path: str) -> None:
    answer = world.reader().post(path, data=b"x" * (64 * 1024 + 1))
    assert answer.status_code == 413
    assert world.notified == []


@pytest.mark.parametrize("path", ["/wechatpay/notify", "/wechatpay/refund", "/billing/accounting"])
def test_other_ways_in_are_closed(reader: FlaskClient, path: str) -> None:
    assert reader.get(path).status_code in (404, 405)


def signed(world: World, body: bytes) -> dict[str, str]:
    timestamp = str(int(world.clock().timestamp()))
    signature = entrance.sign(ACCOUNTING_SECRET, timestamp, body)
    return {entrance.TIMESTAMP: timestamp, entrance.SIGNATURE: signature}


def test_accounting_records_are_counted_and_answered_one_by_one(world: World, reader: FlaskClient) -> None:
    nas = Nas(world.clock(), account=OWN)
    body = json.dumps([nas.interim(0, 5, 7, received_at=None), {"kind": "x"}]).encode()
    answer = reader.post("/billing/accounting", data=body, headers=signed(world, body))
    assert answer.status_code == 200
    assert answer.json == {"results": [{"outcome": "counted"}, {"outcome": "malformed", "field": "nas"}]}
    (newest,) = world.services.billing.sessions(OWN)
    assert (newest.up_bytes, newest.down_bytes) == (5, 7)


@pytest.mark.parametrize(
    ("body", "sign", "status"),
    [(b"[]", False, 403), (b"{", True, 400), (b"[" * 1000, True, 400), (b" " * (1024 * 1024 + 1), True, 413)],
)
def test_garbage_at_the_accounting_entrance_is_no_trouble_of_ours(
    world: World,
    reader: FlaskClient,
    body: bytes,
    sign: bool,  # noqa: FBT001
    status: int,
) -> None:
    answer = reader.post("/billing/accounting", data=body, headers=signed(world, body) if sign else {})
    assert answer.status_code == status


def test_a_batch_larger_than_other_bodies_may_be_is_taken(world: World, reader: FlaskClient) -> None:
    record = Nas(world.clock(), account=OWN).interim(0, 5, 7)
    body = json.dumps([record | {"session": f"s-{number}"} for number in range(600)]).encode()
    assert len(body) > 64 * 1024
    answer = reader.post("/billing/accounting", data=body, headers=signed(world, body))
    assert answer.json == {"results": [{"outcome": "counted"}] * 600}
