"""Faults of the wire, over the wire: what is sent, and which of the three outcomes our client makes of it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from http.client import IncompleteRead
from itertools import count

import pytest
import requests
import urllib3

from models.errors import Forged, Unknown
from payments.wechatpay.client import AlreadyPaid, PayRefused, WechatPay
from sandbox.faults import Fault
from tests.sandbox.our_client import our_client, place
from tests.sandbox.pay_rig import PayRig, wait_until

NUMBERS = count(1)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[PayRig, WechatPay]]:
    with PayRig() as rig:
        client = our_client(rig, read_timeout_s=1.5)
        yield rig, client
        client.disconnect()


@pytest.fixture
def rig(running: tuple[PayRig, WechatPay]) -> Iterator[PayRig]:
    started = running[0]
    yield started
    started.engine.scheduler.clear()
    started.engine.faults.clear()
    started.site.received.clear()
    started.site.statuses.clear()


@pytest.fixture
def client(running: tuple[PayRig, WechatPay]) -> WechatPay:
    return running[1]


@pytest.fixture
def number() -> str:
    return f"R2026090{next(NUMBERS):04d}"


def fault(rig: PayRig, name: str, place: str = "pay.query", **args: float) -> None:
    rig.engine.faults.add(Fault(name, place, args=args))


def test_an_answer_drips_byte_by_byte(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    whole = rig.query(number).content
    fault(rig, "drip", seconds=0.05 * len(whole))
    target = f"/v3/pay/transactions/out-trade-no/{number}?mchid={rig.credentials.mch_id}"
    headers = {"Authorization": rig.authorization("GET", target, b""), "Accept": "*/*", "User-Agent": "rig"}
    with rig.http.get(rig.url + target, headers=headers, timeout=5, stream=True) as response:
        first = response.raw.read1(4096)
    assert 0 < len(first) < len(whole), "a few bytes may arrive together, never all of them"
    assert whole.startswith(first)


def test_an_answer_breaks_off_in_the_middle_of_what_it_promised(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    fault(rig, "cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        rig.query(number)
    (broken,) = caught.value.args
    assert isinstance(broken, urllib3.exceptions.ProtocolError)
    short = broken.args[1]
    assert isinstance(short, IncompleteRead | ConnectionError)
    assert rig.query(number).status_code == 200


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("odd_charset", "text/plain; charset=gbk"),
        ("no_content_type", None),
        ("gzip", "application/json; charset=utf-8"),
    ],
)
def test_odd_headers_around_a_genuine_body(
    rig: PayRig, number: str, name: str, content_type: str | None
) -> None:
    rig.prepay(number)
    fault(rig, name)
    response = rig.query(number, headers={"Accept-Encoding": "identity"})
    assert response.headers.get("Content-Type") == content_type
    assert response.headers.get("Content-Encoding") == ("gzip" if name == "gzip" else None)
    assert rig.verify(response.headers, response.content)


def test_gzip_is_on_the_wire_and_what_was_signed_is_inside(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    fault(rig, "gzip")
    target = f"/v3/pay/transactions/out-trade-no/{number}?mchid={rig.credentials.mch_id}"
    headers = {"Authorization": rig.authorization("GET", target, b""), "Accept": "*/*", "User-Agent": "rig"}
    with rig.http.get(rig.url + target, headers=headers, timeout=5, stream=True) as response:
        raw = response.raw.read(decode_content=False)
        assert rig.verify(response.headers, gzip.decompress(raw))


def test_an_answer_from_the_future_and_one_under_an_unknown_name(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    fault(rig, "future_timestamp")
    response = rig.query(number)
    assert rig.verify(response.headers, response.content)
    assert int(response.headers["Wechatpay-Timestamp"]) - rig.engine.clock.timestamp() > 3500
    fault(rig, "unknown_serial")
    fault(rig, "unknown_serial")
    assert rig.query(number).headers["Wechatpay-Serial"] == "PUB_KEY_ID_01" + "9" * 30
    certified = rig.query(number, headers={"Wechatpay-Serial": None})
    assert certified.headers["Wechatpay-Serial"] == "7" * 40


def test_a_platform_whose_clock_is_wrong(rig: PayRig, number: str) -> None:
    fault(rig, "skew", "pay.prepay", seconds=-400)
    refused = rig.prepay(number)
    assert (refused.status_code, refused.json()["code"]) == (401, "SIGN_ERROR")
    assert rig.query(number).status_code == 404
    fault(rig, "skew", "pay.prepay", seconds=200)
    response = rig.prepay(number)
    assert response.status_code == 200
    assert rig.verify(response.headers, response.content)
    assert int(response.headers["Wechatpay-Timestamp"]) - rig.engine.clock.timestamp() > 190


@pytest.mark.parametrize(
    ("name", "done"),
    [("effect_then_reset", True), ("reset", False), ("answer_202", False), ("cut", True)],
)
def test_what_our_client_cannot_know_is_unknown_and_may_be_repeated(
    rig: PayRig, client: WechatPay, number: str, name: str, *, done: bool
) -> None:
    fault(rig, name, "pay.prepay")
    with pytest.raises(Unknown):
        place(client, number)
    assert (rig.query(number).status_code == 200) is done
    assert place(client, number).startswith("wx")


@pytest.mark.parametrize("name", ["future_timestamp", "unknown_serial", "signtest"])
@pytest.mark.parametrize("at", ["pay.prepay", "pay.query", "pay.close"])
def test_an_answer_that_cannot_be_believed_is_unknown(
    rig: PayRig, client: WechatPay, number: str, at: str, name: str
) -> None:
    place(client, number)
    fault(rig, name, at)
    calls: dict[str, Callable[[], object]] = {
        "pay.prepay": lambda: place(client, number),
        "pay.query": lambda: client.query(number),
        "pay.close": lambda: client.close(number),
    }
    with pytest.raises(Unknown, match="not believed"):
        calls[at]()


def test_a_dripping_answer_is_given_up_as_a_whole(rig: PayRig, client: WechatPay, number: str) -> None:
    place(client, number)
    # Each byte comes in time, all of them do not.
    fault(rig, "drip", seconds=6.0)
    with pytest.raises(Unknown, match=r"too slow|in time"):
        client.query(number)


@pytest.mark.parametrize("name", ["gzip", "odd_charset", "no_content_type"])
def test_odd_headers_are_no_reason_to_doubt(rig: PayRig, client: WechatPay, number: str, name: str) -> None:
    for at in ("pay.prepay", "pay.query"):
        fault(rig, name, at)
    assert place(client, number)
    assert client.query(number).trade_state == "NOTPAY"


def test_our_client_and_a_platform_in_another_time(rig: PayRig, client: WechatPay, number: str) -> None:
    fault(rig, "skew", "pay.prepay", seconds=600)
    with pytest.raises(PayRefused) as caught:
        place(client, number)
    assert caught.value.code == "SIGNERROR"
    fault(rig, "skew", "pay.prepay", seconds=250)
    assert place(client, number)


def test_a_payment_around_a_close(rig: PayRig, client: WechatPay, number: str) -> None:
    place(client, number)
    fault(rig, "paid_before_close", "pay.close")
    with pytest.raises(AlreadyPaid):
        client.close(number)
    assert client.query(number).trade_state == "SUCCESS"
    late = f"{number}B"
    place(client, late)
    fault(rig, "paid_after_close", "pay.close")
    client.close(late)
    assert client.query(late).trade_state == "SUCCESS"
    rig.site.wait_for(2)
    told = {rig.open_notification(body)["out_trade_no"] for _, body in rig.site.received}
    assert told == {number, late}


def test_a_close_of_nothing_is_not_disturbed_by_its_faults(rig: PayRig, number: str) -> None:
    fault(rig, "paid_after_close", "pay.close")
    assert rig.close(number).status_code == 204


def test_a_paid_order_may_say_refund_before_it_ever_said_paid(
    rig: PayRig, client: WechatPay, number: str
) -> None:
    place(client, number)
    fault(rig, "lost", "pay.notify")
    rig.sim(f"orders/{number}/pay")
    fault(rig, "query_refund")
    trade = client.query(number)
    assert (trade.trade_state, trade.amount_fen) == ("REFUND", 500)
    assert trade.transaction_id
    assert client.query(number).trade_state == "SUCCESS"


def paid_notice(rig: PayRig, number: str, name: str, **args: float) -> tuple[dict[str, str], bytes]:
    """The first notice of a payment, with a fault."""
    rig.prepay(number)
    fault(rig, name, "pay.notify", **args)
    rig.sim(f"orders/{number}/pay")
    rig.site.wait_for(1)
    return rig.site.received[0]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("future_timestamp", {}),
        ("unknown_serial", {}),
        ("skew", {"seconds": 400.0}),
        ("skew", {"seconds": -400.0}),
        ("signtest", {}),
    ],
)
def test_a_notice_that_cannot_be_believed_is_refused(
    rig: PayRig, client: WechatPay, number: str, name: str, args: dict[str, float]
) -> None:
    notice = paid_notice(rig, number, name, **args)
    with pytest.raises(Forged):
        client.verify_notify(*notice)
    rig.sim(f"orders/{number}/notify")
    assert client.verify_notify(*rig.site.received[-1]).resource_plain["out_trade_no"] == number


@pytest.mark.parametrize(
    ("name", "content_type"), [("odd_charset", "text/plain; charset=gbk"), ("no_content_type", None)]
)
def test_a_notice_with_odd_headers_is_believed(
    rig: PayRig, client: WechatPay, number: str, name: str, content_type: str | None
) -> None:
    headers, body = paid_notice(rig, number, name)
    assert headers.get("Content-Type") == content_type
    assert client.verify_notify(headers, body).resource_plain["out_trade_no"] == number


def test_another_payment_under_the_id_of_the_notice_before(
    rig: PayRig, client: WechatPay, number: str
) -> None:
    paid_notice(rig, number, "none")
    other = f"{number}B"
    rig.prepay(other)
    fault(rig, "same_id", "pay.notify")
    rig.sim(f"orders/{other}/pay")
    rig.site.wait_for(2)
    first, second = (client.verify_notify(*notice) for notice in rig.site.received)
    assert first.event_id == second.event_id
    assert (first.resource_plain["out_trade_no"], second.resource_plain["out_trade_no"]) == (number, other)


def test_a_notice_falls_behind_the_next_one(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    fault(rig, "reorder", "pay.notify")
    rig.sim(f"orders/{number}/pay")
    wait_until(lambda: rig.engine.scheduler.pending() == 0)
    assert rig.site.received == []
    other = f"{number}B"
    rig.prepay(other)
    rig.sim(f"orders/{other}/pay")
    rig.site.wait_for(2)
    assert [rig.open_notification(body)["out_trade_no"] for _, body in rig.site.received] == [other, number]


def test_a_fault_of_payments_leaves_the_notices_of_refunds_alone(rig: PayRig, number: str) -> None:
    rig.prepay(number)
    fault(rig, "lost", "pay.notify")
    fault(rig, "lost", "pay.notify")
    rig.sim(f"orders/{number}/pay")
    rig.sim("refunds", {"out_trade_no": number, "tell": True, "at_once": True})
    rig.site.wait_for(1)
    assert b"REFUND.SUCCESS" in rig.site.received[0][1]
