"""The endpoints of /v3: one table, one short function each."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from cryptography import x509

from sandbox.faults import Fault
from sandbox.pay import bills_api, crypto, fields, refunds_api
from sandbox.pay.auth import Call
from sandbox.pay.errors import FieldError, PayError, system_error
from sandbox.pay.keys import PUBLIC_KEY
from sandbox.pay.orders import NOTPAY, SUCCESS, Order, Unpayable, beijing
from sandbox.pay.platform import PayPlatform
from sandbox.pay.transaction import REFUND, tampered, transaction

Json = dict[str, object]
# Bytes are a file: sent as they are, unsigned.
Body = Json | bytes | None
Handler = Callable[[PayPlatform, Call, Fault | None], tuple[int, Body]]


@dataclass(frozen=True)
class Endpoint:
    """One line of the table; `place` is where its faults are asked for and its kind in the log."""

    method: str
    pattern: re.Pattern[str]
    place: str
    handler: Handler


def prepay(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `POST /v3/pay/transactions/jsapi`."""
    credentials = platform.engine.credentials
    request = fields.check_prepay(
        fields.parse_body(call.body),
        app_id=credentials.app_id,
        mch_id=credentials.mch_id,
        openid_exists=platform.openid_exists,
    )
    with platform.engine.lock:
        prepay_id = platform.book.place(request)
        first = len(platform.book.get(request.out_trade_no).prepay_ids) == 1
    magic = platform.magic("pay.prepay", request.amount_fen)
    if magic is not None and magic.name == "error_500_after" and first:
        raise system_error()
    if magic is not None or (fault is not None and fault.name == "before_answer"):
        platform.pay(request.out_trade_no)
    return 200, {"prepay_id": prepay_id}


def query_by_number(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `GET /v3/pay/transactions/out-trade-no/{out_trade_no}?mchid=`."""
    _check_query_mchid(platform, call)
    with platform.engine.lock:
        return 200, _shown(platform.book.get(call.path_args["out_trade_no"]), fault)


def query_by_transaction(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `GET /v3/pay/transactions/id/{transaction_id}?mchid=`."""
    _check_query_mchid(platform, call)
    with platform.engine.lock:
        return 200, _shown(platform.book.get_transaction(call.path_args["transaction_id"]), fault)


def close(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `POST /v3/pay/transactions/out-trade-no/{out_trade_no}/close`."""
    fields.check_mchid(fields.parse_body(call.body), platform.engine.credentials.mch_id)
    out_trade_no = call.path_args["out_trade_no"]
    if not fields.OUT_TRADE_NO.fullmatch(out_trade_no):
        raise FieldError("/out_trade_no", out_trade_no, "6..32 of 0-9A-Za-z_-|*", location="path")
    name = fault.name if fault else ""
    if name == "paid_before_close":
        _paid_meanwhile(platform, out_trade_no)
    with platform.engine.lock:
        platform.book.close(out_trade_no)
    if name == "paid_after_close":
        _paid_meanwhile(platform, out_trade_no)
    return 204, None


def certificates(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:  # noqa: ARG001 - one signature for the table
    """Serve `GET /v3/certificates`; a merchant in public-key mode has none."""
    if platform.keys.mode == PUBLIC_KEY:
        raise PayError(
            404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。"
        )
    return 200, {
        "data": [_entry(platform, serial, pem) for serial, pem in platform.keys.certificates.items()]
    }


def _entry(platform: PayPlatform, serial: str, pem: str) -> Json:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    nonce = platform.engine.chance.stream("pay.certificates nonce").hex(12)
    sealed = crypto.seal(
        platform.keys.for_sealing(), pem.encode(), nonce=nonce, associated_data="certificate"
    )
    return {
        "serial_no": serial,
        "effective_time": beijing(certificate.not_valid_before_utc),
        "expire_time": beijing(certificate.not_valid_after_utc),
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": "certificate",
            "ciphertext": sealed,
        },
    }


_ORDER = "/v3/pay/transactions/out-trade-no/(?P<out_trade_no>[^/]+)"
_REFUNDS = "/v3/refund/domestic/refunds"
ENDPOINTS = (
    Endpoint("POST", re.compile("/v3/pay/transactions/jsapi"), "pay.prepay", prepay),
    Endpoint("GET", re.compile(_ORDER), "pay.query", query_by_number),
    Endpoint(
        "GET",
        re.compile("/v3/pay/transactions/id/(?P<transaction_id>[^/]+)"),
        "pay.query",
        query_by_transaction,
    ),
    Endpoint("POST", re.compile(f"{_ORDER}/close"), "pay.close", close),
    Endpoint("GET", re.compile("/v3/certificates"), "pay.certificates", certificates),
    Endpoint("POST", re.compile(_REFUNDS), "pay.refund", refunds_api.refund),
    Endpoint(
        "GET",
        re.compile(f"{_REFUNDS}/(?P<out_refund_no>[^/]+)"),
        "pay.refund_query",
        refunds_api.query_refund,
    ),
    Endpoint("GET", re.compile("/v3/bill/tradebill"), "pay.bill", bills_api.trade_bill),
    Endpoint("GET", re.compile("/v3/bill/fundflowbill"), "pay.bill", bills_api.fundflow_bill),
    Endpoint("GET", re.compile("/v3/billdownload/file"), "pay.bill_download", bills_api.download),
)


def find_endpoint(call: Call) -> Endpoint | int:
    """The endpoint of this request, its path arguments put into the call; else 404 or 405."""
    path = call.target.partition("?")[0]
    status = 404
    for endpoint in ENDPOINTS:
        match = endpoint.pattern.fullmatch(path)
        if match is None:
            continue
        if endpoint.method == call.method:
            call.path_args = {name: unquote(value) for name, value in match.groupdict().items()}
            return endpoint
        status = 405
    return status


def _check_query_mchid(platform: PayPlatform, call: Call) -> None:
    mch_id = call.query.get("mchid")
    if mch_id != platform.engine.credentials.mch_id:
        message = "请确认必填参数是否传递，且未包含未在API文档中定义的参数"
        raise FieldError("mchid", mch_id, "required, the merchant's own", message=message, location="query")


def _shown(order: Order, fault: Fault | None) -> Json:
    name = fault.name if fault else ""
    pretended = {"query_notpay_first": NOTPAY, "query_refund": REFUND}
    shown = transaction(order, pretend=pretended.get(name, ""))
    return tampered(shown, name) if order.state == SUCCESS else shown


def _paid_meanwhile(platform: PayPlatform, out_trade_no: str) -> None:
    # Nobody can pay what was paid before or never placed: then the fault has no chance.
    with suppress(Unpayable, PayError):
        platform.pay(out_trade_no, force=True)
