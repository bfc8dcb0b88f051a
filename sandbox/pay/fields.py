"""The field rules of `POST /v3/pay/transactions/jsapi`, with the platform's complaints.

Source: pay.weixin.qq.com/doc/v3/merchant/4012791897 (JSAPI下单).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from sandbox.pay.errors import FieldError, PayError
from sandbox.pay.orders import PrepayRequest

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
KNOWN = frozenset(
    {
        "appid",
        "mchid",
        "description",
        "out_trade_no",
        "time_expire",
        "attach",
        "notify_url",
        "goods_tag",
        "support_fapiao",
        "amount",
        "payer",
        "detail",
        "scene_info",
        "settle_info",
    }
)
DESCRIPTION_MAX = 127
ATTACH_MAX = 128
URL_MAX = 255
AMOUNT_MAX_FEN = 2**31 - 1

Body = dict[str, object]


def parse_body(body: bytes) -> Body:
    """The JSON object of a request, or 400 PARAM_ERROR."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise PayError(400, "PARAM_ERROR", "请求报文不是合法的JSON，请检查") from error
    if not isinstance(value, dict):
        raise PayError(400, "PARAM_ERROR", "请求报文不是JSON对象，请检查")
    return value


def check_prepay(
    body: Body, *, app_id: str, mch_id: str, openid_exists: Callable[[str], bool]
) -> PrepayRequest:
    """A request that keeps every rule of the document.

    Raises: PayError - the first rule that is broken.
    """
    unknown = sorted(body.keys() - KNOWN)
    if unknown:
        raise FieldError(
            f"/{unknown[0]}", body[unknown[0]], "undefined field", message="请求中含有未在API文档中定义的参数"
        )
    check_mchid(body, mch_id)
    if text(body, "appid", 32) != app_id:
        raise PayError(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配，请检查后再试")
    return PrepayRequest(
        out_trade_no=_out_trade_no(body),
        app_id=app_id,
        mch_id=mch_id,
        description=text(body, "description", DESCRIPTION_MAX),
        notify_url=notify_url(body),
        attach=text(body, "attach", ATTACH_MAX) if "attach" in body else "",
        amount_fen=_amount_fen(body),
        openid=_openid(body, openid_exists),
        time_expire_at=_time_expire(body) if "time_expire" in body else None,
        parameters=body,
    )


def check_mchid(body: Body, mch_id: str) -> None:
    """The merchant in the body is the merchant of the signature, or PayError."""
    if text(body, "mchid", 32) != mch_id:
        raise FieldError(
            "/mchid", body["mchid"], "differs from Authorization", message="商户号与签名的商户号不一致"
        )


def text(body: Body, name: str, longest: int) -> str:
    """A required text of 1 to `longest` characters, or PayError."""
    value = body.get(name)
    if not isinstance(value, str):
        raise FieldError(f"/{name}", value, "string required", message=f"参数{name}必填且为字符串")
    if not 1 <= len(value) <= longest:
        raise FieldError(
            f"/{name}", value, f"length must be 1..{longest}", message=f"参数{name}长度应为1至{longest}个字符"
        )
    return value


def _out_trade_no(body: Body) -> str:
    value = text(body, "out_trade_no", 32)
    if not OUT_TRADE_NO.fullmatch(value):
        raise FieldError(
            "/out_trade_no",
            value,
            "6..32 of 0-9A-Za-z_-|*",
            message="商户订单号只能是6至32个数字、大小写字母_-|*",
        )
    return value


def notify_url(body: Body) -> str:
    """An address that the platform would tell, or PayError."""
    value = text(body, "notify_url", URL_MAX)
    if not _deliverable(value):
        raise FieldError(
            "/notify_url", value, "https URL required", message="无效的notify_url，应为https地址"
        )
    if "?" in value or "#" in value:
        raise FieldError("/notify_url", value, "no query allowed", message="无效的notify_url，不能携带参数")
    return value


def _deliverable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _loopback(host)))


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _amount_fen(body: Body) -> int:
    amount = body.get("amount")
    if not isinstance(amount, dict):
        raise FieldError("/amount", amount, "object required")
    if amount.keys() - {"total", "currency"}:
        raise FieldError("/amount", amount, "undefined field", message="请求中含有未在API文档中定义的参数")
    total = fen(amount, "total")
    if amount.get("currency", "CNY") != "CNY":
        raise FieldError("/amount/currency", amount["currency"], "Currency code is invalid")
    return total


def fen(amount: Body, name: str) -> int:
    """A whole number of fen, at least 1, or PayError."""
    value = amount.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= AMOUNT_MAX_FEN:
        raise FieldError(
            f"/amount/{name}", value, "integer fen, at least 1", message="金额应为大于0的整数，单位为分"
        )
    return value


def _openid(body: Body, exists: Callable[[str], bool]) -> str:
    payer = body.get("payer")
    openid = payer.get("openid") if isinstance(payer, dict) else None
    if not isinstance(openid, str) or not openid:
        raise FieldError("/payer/openid", openid, "string required", message="JSAPI支付必须传openid")
    if not exists(openid):
        raise FieldError("/payer/openid", openid, "unknown openid", message="无效的openid")
    return openid


def _time_expire(body: Body) -> datetime:
    value = text(body, "time_expire", 64)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in value:
        raise FieldError(
            "/time_expire", value, "RFC 3339 required", message="time_expire应为RFC3339格式并带时区"
        )
    return moment
