"""Our client beside wechatpayv3, written by others, against the same sandbox: the same answers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from models.clock import CAMPUS_ZONE
from models.errors import Forged, Malformed, Unavailable, Unknown
from payments.wechatpay import crypto
from payments.wechatpay.client import (
    AlreadyPaid,
    OrderClosed,
    PayConfig,
    PayRefused,
    TradeNotFound,
    WechatPay,
)
from sandbox.credentials import issue
from sandbox.engine import Site
from sandbox.faults import Fault
from sandbox.pay.notify import paid_event
from sandbox.server import Sandbox
from tests.payments.wechatpay.signed_server import Answer, Seen, SignedServer

NUMBERS = itertools.count(1)
DESCRIPTION = "校园网充值 2400101001"


@dataclass(frozen=True)
class Pair:
    """Both clients, one merchant, one sandbox, and the site that is notified."""

    sandbox: Sandbox
    site: SignedServer
    ours: WechatPay
    theirs: Any
    openid: str
    expires_at: datetime

    def prepay_ours(self, number: str, **changed: Any) -> str:
        values = {"amount_fen": 500, "openid": self.openid, **changed}
        return self.ours.prepay(
            out_trade_no=number, description=DESCRIPTION, expires_at=self.expires_at, **values
        )

    def prepay_theirs(self, number: str, *, amount_fen: int = 500, openid: str | None = None) -> Any:
        return self.theirs.pay(
            description=DESCRIPTION,
            out_trade_no=number,
            amount={"total": amount_fen, "currency": "CNY"},
            payer={"openid": openid or self.openid},
            time_expire=self.expires_at.astimezone(CAMPUS_ZONE).isoformat(timespec="seconds"),
        )

    def paid(self, number: str) -> None:
        """The person pays; the notification of it is lost."""
        self.sandbox.engine.faults.add(Fault("lost", "pay.notify"))
        self.sandbox.pay.pay(number)

    def notify(self, number: str, *, spoil: str = "") -> Seen:
        """One notification as it reached the site."""
        self.site.answers.append(Answer(204))
        assert self.sandbox.pay.notifier.send(paid_event(self.sandbox.pay.book.get(number)), spoil=spoil)
        return self.site.seen[-1]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(issue(), Site("http://127.0.0.1", "http://127.0.0.1/wechat")) as running:
        yield running


@pytest.fixture
def pair(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    shown, site = sandbox.engine.credentials, SignedServer()
    notify_url = f"{site.url}/wechatpay/notify"
    config = PayConfig(
        app_id=shown.app_id,
        mch_id=shown.mch_id,
        api_v3_key=shown.api_v3_key,
        merchant_serial=shown.merchant_serial,
        merchant_key_pem=shown.merchant_key_pem,
        public_keys={shown.public_key_id: shown.public_key_pem},
        platform_certs=[shown.platform_cert_pem],
        api_base=sandbox.url,
        notify_url=notify_url,
    )
    ours = WechatPay(config, sandbox.engine.clock.now)
    theirs = WeChatPay(
        wechatpay_type=WeChatPayType.JSAPI,
        mchid=shown.mch_id,
        private_key=shown.merchant_key_pem,
        cert_serial_no=shown.merchant_serial,
        appid=shown.app_id,
        apiv3_key=shown.api_v3_key,
        notify_url=notify_url,
        public_key=shown.public_key_pem,
        public_key_id=shown.public_key_id,
        timeout=(3, 10),
    )
    theirs._core._gate_way = sandbox.url
    openid = next(iter(sandbox.students)).openid
    expires_at = sandbox.engine.clock.now() + timedelta(minutes=15)
    yield Pair(sandbox, site, ours, theirs, openid, expires_at)
    ours.disconnect()
    site.stop()
    sandbox.reset()


@pytest.fixture
def number() -> str:
    return f"20260901D{next(NUMBERS):015d}"


def same_refusal(theirs: tuple[int, str], ours: Callable[[], object]) -> PayRefused:
    """Both were refused with the same code and text."""
    status, text = theirs
    assert 400 <= status < 500
    said = json.loads(text)
    with pytest.raises(PayRefused) as caught:
        ours()
    assert caught.value.code == said["code"].replace("_", "")
    assert caught.value.message == said["message"]
    assert caught.value.request_id
    return caught.value


@pytest.mark.parametrize("ours_first", [True, False])
def test_both_send_the_same_order(pair: Pair, number: str, *, ours_first: bool) -> None:
    # The sandbox refuses a repeated number with any other parameter, so both bodies say the same.
    if ours_first:
        first = pair.prepay_ours(number)
    status, text = pair.prepay_theirs(number)
    assert status == 200
    if not ours_first:
        first = pair.prepay_ours(number)
    second = json.loads(text)["prepay_id"]
    assert first != second
    assert first.startswith("wx")
    assert len(first) == len(second)
    assert first.isalnum()


def test_both_sign_pages_that_the_payer_can_open(pair: Pair, number: str) -> None:
    params = pair.ours.jsapi_params(pair.prepay_ours(number))
    signed = [params[name] for name in ("appId", "timeStamp", "nonceStr", "package")]
    assert pair.theirs.sign(signed) == params["paySign"]
    token, _ = pair.sandbox.pay.open_sheet(pair.openid, dict(params))
    assert token


@pytest.mark.parametrize("state", ["NOTPAY", "SUCCESS", "CLOSED"])
def test_both_see_the_same_order(pair: Pair, number: str, state: str) -> None:
    pair.prepay_ours(number)
    if state == "SUCCESS":
        pair.paid(number)
    if state == "CLOSED":
        pair.ours.close(number)
    status, text = pair.theirs.query(out_trade_no=number)
    assert status == 200
    trade = pair.ours.query(number)
    assert trade == pair.ours.trade_from(json.loads(text))
    assert trade.trade_state == state
    if state == "SUCCESS":
        assert (trade.openid, trade.amount_fen, trade.currency) == (pair.openid, 500, "CNY")
        assert trade.transaction_id
        assert trade.paid_at


def test_what_one_closes_is_closed_for_the_other(pair: Pair, number: str) -> None:
    pair.prepay_ours(number)
    assert pair.theirs.close(number)[0] == 204
    pair.ours.close(number)
    assert pair.ours.query(number).trade_state == "CLOSED"


def test_both_are_refused_alike(pair: Pair, number: str) -> None:
    missing = same_refusal(pair.theirs.query(out_trade_no=number), lambda: pair.ours.query(number))
    assert type(missing) is TradeNotFound
    pair.prepay_ours(number)
    changed = same_refusal(
        pair.prepay_theirs(number, amount_fen=600), lambda: pair.prepay_ours(number, amount_fen=600)
    )
    assert type(changed) is PayRefused
    pair.paid(number)
    for theirs, ours in (
        (pair.theirs.close(number), lambda: pair.ours.close(number)),
        (pair.prepay_theirs(number), lambda: pair.prepay_ours(number)),
    ):
        assert type(same_refusal(theirs, ours)) is AlreadyPaid


def test_both_are_refused_a_closed_number_and_a_stranger(pair: Pair, number: str) -> None:
    pair.prepay_ours(number)
    pair.ours.close(number)
    closed = same_refusal(pair.prepay_theirs(number), lambda: pair.prepay_ours(number))
    assert type(closed) is OrderClosed
    other = number.replace("D", "E")
    same_refusal(
        pair.prepay_theirs(other, openid="oNobody"), lambda: pair.prepay_ours(other, openid="oNobody")
    )


@pytest.mark.parametrize("fault", ["unsigned", "wrong_key"])
@pytest.mark.parametrize("place", ["pay.prepay", "pay.query", "pay.close"])
def test_neither_believes_an_answer_without_the_right_signature(
    pair: Pair, number: str, place: str, fault: str
) -> None:
    pair.prepay_ours(number)
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "pay.prepay": (lambda: pair.prepay_theirs(number), lambda: pair.prepay_ours(number)),
        "pay.query": (lambda: pair.theirs.query(out_trade_no=number), lambda: pair.ours.query(number)),
        "pay.close": (lambda: pair.theirs.close(number), lambda: pair.ours.close(number)),
    }
    theirs, ours = calls[place]
    pair.sandbox.engine.faults.add(Fault(fault, place, times=2))
    with pytest.raises(Exception):  # noqa: B017, PT011 - the other client raises bare Exception
        theirs()
    with pytest.raises(Unknown):
        ours()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("stale_timestamp", Unknown),
        ("error_500", Unknown),
        ("error_500_after", Unknown),
        ("reset", Unknown),
        ("rate_429", Unavailable),
    ],
)
@pytest.mark.parametrize("place", ["pay.prepay", "pay.query", "pay.close"])
def test_every_fault_of_the_sandbox_has_its_outcome(
    pair: Pair, number: str, place: str, fault: str, error: type[Exception]
) -> None:
    pair.prepay_ours(number)
    calls: dict[str, Callable[[], object]] = {
        "pay.prepay": lambda: pair.prepay_ours(number),
        "pay.query": lambda: pair.ours.query(number),
        "pay.close": lambda: pair.ours.close(number),
    }
    # Two: a query looks a second time after a reset.
    pair.sandbox.engine.faults.add(Fault(fault, place, times=2))
    with pytest.raises(error):
        calls[place]()


@pytest.mark.parametrize("mode", ["public_key", "certificate"])
def test_both_believe_the_same_notification(pair: Pair, number: str, mode: str) -> None:
    pair.prepay_ours(number)
    pair.paid(number)
    pair.sandbox.pay.keys.mode = mode
    seen = pair.notify(number)
    notification = pair.ours.verify_notify(seen.headers, seen.body)
    assert notification.event_type == "TRANSACTION.SUCCESS"
    assert pair.ours.trade_from(notification.resource_plain) == pair.ours.query(number)
    if mode == "public_key":
        told = pair.theirs.callback(seen.headers, seen.body)
        assert told["resource"] == notification.resource_plain
        assert told["id"] == notification.event_id


@pytest.mark.parametrize("spoil", ["unsigned", "wrong_key", "signtest"])
def test_neither_believes_a_spoiled_notification(pair: Pair, number: str, spoil: str) -> None:
    pair.prepay_ours(number)
    pair.paid(number)
    seen = pair.notify(number, spoil=spoil)
    with pytest.raises(Forged):
        pair.ours.verify_notify(seen.headers, seen.body)
    assert not believed_by_theirs(pair, seen.headers, seen.body)


def test_we_are_stricter_about_age(pair: Pair, number: str) -> None:
    pair.prepay_ours(number)
    pair.paid(number)
    seen = pair.notify(number, spoil="stale_timestamp")
    assert believed_by_theirs(pair, seen.headers, seen.body)
    with pytest.raises(Forged):
        pair.ours.verify_notify(seen.headers, seen.body)


def test_both_agree_on_every_change_of_a_notification(pair: Pair, number: str) -> None:
    pair.prepay_ours(number)
    pair.paid(number)
    seen = pair.notify(number)
    for place in range(0, len(seen.body), 37):
        body = bytearray(seen.body)
        body[place] ^= 1
        with pytest.raises((Forged, Malformed)):
            pair.ours.verify_notify(seen.headers, bytes(body))
        assert not believed_by_theirs(pair, seen.headers, bytes(body))


def test_what_we_sign_the_other_client_would_sign_alike() -> None:
    shown = issue()
    theirs = WeChatPay(
        wechatpay_type=WeChatPayType.JSAPI,
        mchid=shown.mch_id,
        private_key=shown.merchant_key_pem,
        cert_serial_no=shown.merchant_serial,
        appid=shown.app_id,
        apiv3_key=shown.api_v3_key,
        notify_url="https://net.example.edu.cn/wechatpay/notify",
        public_key=shown.public_key_pem,
        public_key_id=shown.public_key_id,
    )
    key = crypto.load_private_key(shown.merchant_key_pem)
    message = crypto.jsapi_message("wx1", "1", "2", "prepay_id=wx3")
    assert crypto.sign(key, message) == theirs.sign(["wx1", "1", "2", "prepay_id=wx3"])


def believed_by_theirs(pair: Pair, headers: dict[str, str], body: bytes) -> bool:
    """Whether the other client accepts; it answers None or raises anything when it does not."""
    try:
        return bool(pair.theirs.callback(headers, body))
    except Exception:  # noqa: BLE001 - its refusals have no common class
        return False
