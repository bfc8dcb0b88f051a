"""Our own pay client against the rig: what production makes of a misbehaving platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from payments.wechatpay.client import WechatPay
from payments.wechatpay.config import PayConfig
from tests.sandbox.pay_rig import OPENID, PayRig

AMOUNT_FEN = 500


def our_client(rig: PayRig, **changed: Any) -> WechatPay:
    """The production client, configured with what the rig's console shows; disconnect it at the end."""
    known = rig.credentials
    values: dict[str, Any] = {
        "app_id": known.app_id,
        "mch_id": known.mch_id,
        "api_v3_key": known.api_v3_key,
        "merchant_serial": known.merchant_serial,
        "merchant_key_pem": known.merchant_key_pem,
        "public_keys": {known.public_key_id: known.public_key_pem},
        "platform_certs": [known.platform_cert_pem],
        "api_base": rig.url,
        "notify_url": rig.notify_url,
        "read_timeout_s": 5.0,
        **changed,
    }
    return WechatPay(PayConfig(**values), lambda: datetime.fromtimestamp(rig.engine.stamp(), UTC))


def place(client: WechatPay, number: str, amount_fen: int = AMOUNT_FEN) -> str:
    """Place an order with it, with a life that is the same each time."""
    return client.prepay(
        out_trade_no=number,
        description="校园网充值",
        amount_fen=amount_fen,
        openid=OPENID,
        expires_at=datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2),
    )
