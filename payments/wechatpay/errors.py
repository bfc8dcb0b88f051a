"""What WeChat Pay may refuse, by name.

    PayRefused        a 4xx: certainly not done; look at `code`
      TradeNotFound   no order was ever placed under this number (query)
      AlreadyPaid     the money is there: query, then credit (prepay, close)
      OrderClosed     the number is burned (prepay; on close: it was closed before)
      RefundNotFound  no refund was ever accepted under this number (query_refund)

Not done but worth another try is `models.errors.Unavailable` (rate limit, nobody listens);
perhaps done is `models.errors.Unknown`.
"""

from __future__ import annotations

from models.errors import Malformed, ServiceError, Unavailable, Unknown
from payments.wechatpay.messages import parse_object


class PayRefused(ServiceError):
    """WeChat Pay certainly did not do it.

    `code` is WeChat's word in capitals without underscores (ORDERNOTEXIST, SIGNERROR), since
    its pages spell codes both ways; `HTTP404` and the like where no code came. `message` is
    WeChat's text for an engineer; `request_id` is what its support asks for.
    """

    status = 502

    def __init__(self, code: str, message: str, request_id: str) -> None:
        super().__init__(f"{code} (Request-ID {request_id or 'none'}): {message}")
        self.code = code
        self.message = message
        self.request_id = request_id


class TradeNotFound(PayRefused):
    """No order was ever placed under this number."""


class AlreadyPaid(PayRefused):
    """The order is paid: ask for it, do not close or place it."""


class OrderClosed(PayRefused):
    """The order is closed; its number cannot be used again."""


class RefundNotFound(PayRefused):
    """No refund was ever accepted under this number: it may be sent (again) under it."""


_BY_CODE: dict[str, type[PayRefused]] = {
    "ORDERNOTEXIST": TradeNotFound,
    "ORDERPAID": AlreadyPaid,
    "ORDERCLOSED": OrderClosed,
}
# INVALID_REQUEST says which only in the number that ends the Request-ID (排障手册).
_PAID_NUMBERS = frozenset({"268498689", "268449538"})


_RATE_LIMITED = frozenset({"FREQUENCYLIMITED", "FREQUENCYLIMITEXCEED", "RATELIMITEXCEEDED", "RATELIMITED"})
# WeChat's own trouble, whatever status it comes with.
_TROUBLED = frozenset({"SYSTEMERROR", "SERVICEUNAVAILABLE", "BANKERROR"})
_REQUEST_TIMEOUT = 408
_TOO_MANY_REQUESTS = 429


def refusal(status: int, body: bytes, request_id: str) -> PayRefused | Unavailable | Unknown:
    """The named error for a 4xx answer; branches on codes, never on WeChat's text.

    Such answers are not signed, so a lost or odd body still gives an error, with `HTTP<status>` as code.
    """
    try:
        said = parse_object(body)
    except Malformed:
        said = {}
    code = _line(said.get("code") or f"HTTP{status}", 64).replace("_", "").upper()
    if status == _REQUEST_TIMEOUT or code in _TROUBLED:
        return Unknown(f"{code} (Request-ID {request_id or 'none'})")
    if status == _TOO_MANY_REQUESTS or code in _RATE_LIMITED:
        return Unavailable(f"{code} (Request-ID {request_id or 'none'})")
    kind = _BY_CODE.get(code, PayRefused)
    if code == "INVALIDREQUEST" and request_id.rpartition("-")[2] in _PAID_NUMBERS:
        kind = AlreadyPaid
    return kind(code, _line(said.get("message") or "", 256), request_id)


def _line(value: object, longest: int) -> str:
    """One printable line for logs and tables, whatever was sent."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value)[:longest])
