"""wechatpayv3, a client written by others, gets along with the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.sandbox.pay_rig import OPENID, PayRig, wait_until

NUMBER = "LIB2025010100001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


@pytest.fixture
def client(rig: PayRig, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = WeChatPay(
        wechatpay_type=WeChatPayType.JSAPI,
        mchid=rig.credentials.mch_id,
        private_key=rig.credentials.merchant_key_pem,
        cert_serial_no=rig.credentials.merchant_serial,
        appid=rig.credentials.app_id,
        apiv3_key=rig.credentials.api_v3_key,
        notify_url=rig.site.url,
        public_key=rig.credentials.public_key_pem,
        public_key_id=rig.credentials.public_key_id,
        timeout=(3, 10),
    )
    made._core._gate_way = rig.url
    return made


def place(client: Any) -> str:
    status, message = client.pay(
        description="校园网充值", out_trade_no=NUMBER, amount={"total": 500}, payer={"openid": OPENID}
    )
    assert status == 200
    return str(json.loads(message)["prepay_id"])


def test_place_pay_query_and_callback(rig: PayRig, client: Any) -> None:
    prepay_id = place(client)
    stamp, nonce, package = str(int(rig.engine.clock.timestamp())), "n" * 32, f"prepay_id={prepay_id}"
    params = {
        "appId": rig.credentials.app_id,
        "timeStamp": stamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": client.sign([rig.credentials.app_id, stamp, nonce, package]),
    }
    token = rig.sim("invoke", {"openid": OPENID, "params": params})["pay_token"]
    assert rig.sim("confirm", {"pay_token": token, "password": "123456"})["err_msg"].endswith(":ok")
    status, message = client.query(out_trade_no=NUMBER)
    shown = json.loads(message)
    assert (status, shown["trade_state"]) == (200, "SUCCESS")
    assert json.loads(client.query(transaction_id=shown["transaction_id"])[1]) == shown
    rig.site.wait_for(1)
    wait_until(lambda: rig.engine.scheduler.pending() == 0)
    headers, body = rig.site.received[0]
    told = client.callback(headers, body)
    assert told["event_type"] == "TRANSACTION.SUCCESS"
    assert told["resource"] == shown


def test_close(client: Any) -> None:
    place(client)
    status, _ = client.close(NUMBER)
    assert status == 204
    assert json.loads(client.query(out_trade_no=NUMBER)[1])["trade_state"] == "CLOSED"


def test_certificate_mode_from_the_first_call_on(rig: PayRig, client: Any) -> None:
    rig.sim("mode", {"mode": "certificate"})
    client._core._update_certificates()
    (certificate,) = client._core._certificates
    assert f"{certificate.serial_number:040X}" == rig.credentials.platform_serial
    client._core._public_key_id = None
    place(client)
    rig.sim(f"orders/{NUMBER}/pay")
    rig.site.wait_for(1)
    wait_until(lambda: rig.engine.scheduler.pending() == 0)
    headers, body = rig.site.received[0]
    assert headers["Wechatpay-Serial"] == rig.credentials.platform_serial
    assert client.callback(headers, body)["resource"]["out_trade_no"] == NUMBER
