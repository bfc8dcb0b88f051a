"""Notifications: sealed, signed, repeated on schedule, and everything that may go wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidSignature

from sandbox.faults import Fault
from sandbox.pay.notify import RETRY_AFTER_S
from tests.sandbox.pay_rig import OPENID, PayRig, wait_until

NUMBER = "R202501010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def pay(rig: PayRig, number: str = NUMBER) -> None:
    rig.prepay(number)
    rig.sim(f"orders/{number}/pay")


def idle(rig: PayRig, waiting: int) -> None:
    """Until no notification runs or is due and `waiting` jobs are on the clock."""
    scheduler = rig.engine.scheduler

    def reached() -> bool:
        with scheduler._wake:
            return scheduler._running == 0 and not scheduler._due() and len(scheduler._heap) == waiting

    wait_until(reached)


def test_a_payment_is_told_once_signed_and_sealed(rig: PayRig) -> None:
    pay(rig)
    rig.site.wait_for(1)
    idle(rig, 0)
    ((headers, body),) = rig.site.received
    assert rig.verify(headers, body) == rig.credentials.public_key_id
    envelope = json.loads(body)
    assert envelope["event_type"] == "TRANSACTION.SUCCESS"
    assert envelope["resource_type"] == "encrypt-resource"
    assert envelope["resource"]["original_type"] == "transaction"
    assert len(envelope["resource"]["nonce"]) == 12
    assert rig.open_notification(body) == rig.query().json()


@pytest.mark.parametrize("accepted", [200, 204])
def test_200_and_204_are_accepted(rig: PayRig, accepted: int) -> None:
    rig.site.statuses = [accepted]
    pay(rig)
    rig.site.wait_for(1)
    idle(rig, 0)


def test_fifteen_retries_come_on_the_vendor_s_schedule(rig: PayRig) -> None:
    refusals = [500, 404, 302, 202, 401]
    rig.site.statuses = refusals * 4
    pay(rig)
    rig.site.wait_for(1)
    for count, interval_s in enumerate(RETRY_AFTER_S, start=1):
        idle(rig, 1)
        rig.engine.scheduler.advance(interval_s - 2)
        idle(rig, 1)
        assert len(rig.site.received) == count
        rig.engine.scheduler.advance(3)
        rig.site.wait_for(count + 1)
    idle(rig, 0)
    assert len(rig.site.received) == 16
    identifiers = {json.loads(body)["id"] for _, body in rig.site.received}
    assert len(identifiers) == 16, "a merchant may not rely on the id of a repeated notice"


def test_a_retry_is_signed_afresh_and_stops_once_accepted(rig: PayRig) -> None:
    rig.site.statuses = [500]
    pay(rig)
    rig.site.wait_for(1)
    idle(rig, 1)
    rig.engine.scheduler.advance(400)
    rig.site.wait_for(2)
    idle(rig, 0)
    first, second = (int(headers["Wechatpay-Timestamp"]) for headers, _ in rig.site.received)
    assert second - first >= 399
    assert rig.verify(*rig.site.received[1])


def test_a_site_that_is_down_is_told_later(rig: PayRig) -> None:
    rig.prepay(notify_url="http://127.0.0.1:9/notify")
    rig.sim(f"orders/{NUMBER}/pay")
    idle(rig, 1)
    exchange = rig.engine.wire.since(0)[-1]
    assert (exchange.direction, exchange.kind, exchange.status) == ("out", "pay.notify", 0)


def test_certificate_mode_and_mixed_mode_sign_with_the_other_key(rig: PayRig) -> None:
    rig.sim("mode", {"mode": "certificate"})
    pay(rig)
    rig.site.wait_for(1)
    assert rig.verify(*rig.site.received[0]) == rig.credentials.platform_serial
    rig.sim("mode", {"mode": "mixed"})
    rig.sim(f"orders/{NUMBER}/notify", {"times": 4})
    serials = [rig.verify(*notice) for notice in rig.site.received[1:]]
    assert serials[0] == serials[2] != serials[1] == serials[3]


def test_the_seed_decides_which_key_begins() -> None:
    firsts = []
    for seed in (0, 1):
        with PayRig(seed=seed) as rig:
            rig.sim("mode", {"mode": "mixed"})
            pay(rig)
            rig.site.wait_for(1)
            firsts.append(rig.verify(*rig.site.received[0]) == rig.credentials.platform_serial)
    assert firsts == [True, False]


def test_resending_tells_as_often_as_asked(rig: PayRig) -> None:
    pay(rig)
    rig.site.wait_for(1)
    assert rig.sim(f"orders/{NUMBER}/notify", {"times": 5})["statuses"] == [204] * 5
    assert rig.sim(f"orders/{NUMBER}/notify", {"times": 5, "parallel": True})["statuses"] == [204] * 5
    assert len(rig.site.received) == 11


def test_a_lost_notice_never_comes(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("lost", "pay.notify"))
    pay(rig)
    assert rig.engine.scheduler.pending() == 0
    assert rig.site.received == []
    assert rig.query().json()["trade_state"] == "SUCCESS"


def test_a_delayed_notice_waits_for_the_virtual_clock(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("delay", "pay.notify", args={"seconds": 86_400}))
    pay(rig)
    idle(rig, 1)
    rig.engine.scheduler.advance(86_000)
    idle(rig, 1)
    assert rig.site.received == []
    rig.engine.scheduler.advance(500)
    rig.site.wait_for(1)


def test_a_duplicated_notice_comes_count_times(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("duplicate", "pay.notify", args={"count": 5}))
    pay(rig)
    rig.site.wait_for(5)
    idle(rig, 0)
    assert len(rig.site.received) == 5
    assert all(rig.open_notification(body)["out_trade_no"] == NUMBER for _, body in rig.site.received)


def test_a_notice_may_come_before_the_payer_sees_ok(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("before_answer", "pay.notify"))
    pay(rig)
    assert len(rig.site.received) == 1


@pytest.mark.parametrize(
    ("name", "path", "wrong"),
    [
        ("tamper_amount", ("amount", "payer_total"), 501),
        ("tamper_openid", ("payer", "openid"), "oSomebodyElse000000000000000"),
        ("tamper_mchid", ("mchid",), "1900000001"),
        ("tamper_appid", ("appid",), "wx0000000000000000"),
    ],
)
def test_a_tampered_notice_is_rightly_signed_and_wrong(
    rig: PayRig, name: str, path: tuple[str, ...], wrong: object
) -> None:
    rig.site.statuses = [500]
    rig.engine.faults.add(Fault(name, "pay.notify"))
    pay(rig)
    rig.site.wait_for(1)
    headers, body = rig.site.received[0]
    assert rig.verify(headers, body)
    value: object = rig.open_notification(body)
    for part in path:
        assert isinstance(value, dict)
        value = value[part]
    assert value == wrong
    idle(rig, 1)
    rig.engine.scheduler.advance(15)
    rig.site.wait_for(2)
    assert rig.open_notification(rig.site.received[1][1])["amount"]["total"] == 500


def test_the_probe_is_followed_by_a_genuine_notice_even_when_accepted(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("signtest", "pay.notify"))
    pay(rig)
    rig.site.wait_for(1)
    headers, body = rig.site.received[0]
    assert headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    with pytest.raises(ValueError, match="base64"):
        rig.verify(headers, body)
    idle(rig, 1)
    rig.engine.scheduler.advance(15)
    rig.site.wait_for(2)
    assert rig.verify(*rig.site.received[1])


def test_a_notice_with_the_wrong_key_or_none_does_not_verify(rig: PayRig) -> None:
    rig.site.statuses = [401, 401]
    for name in ("wrong_key", "unsigned"):
        rig.engine.faults.add(Fault(name, "pay.notify"))
    pay(rig)
    rig.site.wait_for(1)
    idle(rig, 1)
    rig.engine.scheduler.advance(15)
    rig.site.wait_for(2)
    with pytest.raises(InvalidSignature):
        rig.verify(*rig.site.received[0])
    assert "Wechatpay-Signature" not in rig.site.received[1][0]


def test_the_log_shows_the_plain_text_and_the_signed_string(rig: PayRig) -> None:
    pay(rig)
    rig.site.wait_for(1)
    idle(rig, 0)
    exchange = rig.engine.wire.since(0)[-1]
    assert (exchange.kind, exchange.status, exchange.openid) == ("pay.notify", 204, OPENID)
    assert json.loads(exchange.decrypted)["out_trade_no"] == NUMBER
    assert exchange.signed == (
        f"{exchange.request_headers['Wechatpay-Timestamp']}\n"
        f"{exchange.request_headers['Wechatpay-Nonce']}\n{exchange.request_body}\n"
    )
