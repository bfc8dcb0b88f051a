"""Whether a request really comes from the merchant; the platform's words when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.datastructures import Headers

from sandbox.credentials import Credentials
from sandbox.faults import Fault
from sandbox.pay import crypto
from sandbox.pay.errors import PayError, SignError
from sandbox.pay.keys import PlatformKeys

MAX_AGE_S = 300


@dataclass
class Call:
    """One request to /v3 as it came over the wire; `target` is path and query as sent.

    `signed` and `verdict` are filled in for the log while it is checked; `fault` is what goes wrong with
    its answer on purpose.
    """

    method: str
    target: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes
    path_args: dict[str, str] = field(default_factory=dict)
    signed: str = ""
    verdict: str = ""
    fault: Fault | None = None


def check(call: Call, keys: PlatformKeys, credentials: Credentials, now_s: float) -> None:
    """Believe the request or raise.

    Raises: PayError - headers missing (400); SignError - age, serial, merchant or signature wrong (401).
    """
    if not call.headers.get("User-Agent") or not call.headers.get("Accept"):
        raise PayError(400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent")
    values = crypto.parse_authorization(call.headers.get("Authorization", ""))
    if values is None:
        raise SignError("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
    message = crypto.request_message(
        call.method, call.target, values["timestamp"], values["nonce_str"], call.body
    )
    call.signed = message.decode("utf-8", "replace")
    _check_age(values["timestamp"], now_s)
    if values["mchid"] != credentials.mch_id:
        raise SignError("商户号不存在或与商户证书不匹配。")
    if values["serial_no"] != credentials.merchant_serial:
        raise SignError("商户证书序列号有误。请使用签名私钥匹配的证书序列号")
    if not crypto.verify(keys.merchant, message, values["signature"]):
        raise SignError("错误的签名，验签失败", detail=_mismatch(call))
    _check_answer_key(call, keys)
    call.verdict = "商户签名正确"


def check_age(call: Call, now_s: float) -> None:
    """Check the age alone, once more, by another clock. Raises: SignError."""
    values = crypto.parse_authorization(call.headers.get("Authorization", ""))
    _check_age(values["timestamp"] if values else "", now_s)


def _check_age(timestamp: str, now_s: float) -> None:
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now_s - int(timestamp)) > MAX_AGE_S:
        raise SignError("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")


def _check_answer_key(call: Call, keys: PlatformKeys) -> None:
    asked = call.headers.get("Wechatpay-Serial")
    if asked and not keys.knows(asked):
        raise PayError(
            400, "PARAM_ERROR", "Http头Wechatpay-Serial错误，不是有效的平台证书序列号或微信支付公钥ID"
        )


def _mismatch(call: Call) -> dict[str, object]:
    return {
        "field": "signature",
        "location": "authorization",
        "detail": {"issue": "sign not match"},
        "sign_information": {
            "method": call.method,
            "url": call.target,
            "truncated_sign_message": call.signed[:200],
            "sign_message_length": len(call.signed.encode()),
        },
    }
