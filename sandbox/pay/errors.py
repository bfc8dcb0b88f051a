"""Answers that are refusals: `{"code", "message", "detail"}` with the platform's own words."""

from __future__ import annotations


class PayError(Exception):
    """A refusal with its HTTP status; `number` is the last part of the Request-ID."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: dict[str, object] | None = None,
        number: int = 268435462,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.number = number

    def body(self) -> dict[str, object]:
        """The JSON object of the answer."""
        shown: dict[str, object] = {"code": self.code, "message": self.message}
        return shown if self.detail is None else {**shown, "detail": self.detail}


class FieldError(PayError):
    """400 PARAM_ERROR that names the field; `field` is a JSON pointer such as /amount/total."""

    def __init__(
        self, field: str, value: object, issue: str, *, message: str = "参数错误", location: str = "body"
    ) -> None:
        detail = {"field": field, "value": value, "issue": issue, "location": location}
        super().__init__(400, "PARAM_ERROR", message, detail=detail)


class SignError(PayError):
    """401: the request is not believed to come from the merchant."""

    def __init__(self, message: str, *, detail: dict[str, object] | None = None) -> None:
        super().__init__(401, "SIGN_ERROR", message, detail=detail)


def changed_on_reentry() -> PayError:
    """The same out_trade_no with other parameters."""
    return PayError(400, "INVALID_REQUEST", "请求重入时，参数与首次请求时不一致", number=268498688)


def already_paid() -> PayError:
    """The order cannot be placed or closed: the money is there."""
    return PayError(400, "ORDERPAID", "该订单已支付", number=268498689)


def already_closed() -> PayError:
    """The number of a closed order cannot be used again."""
    return PayError(400, "ORDER_CLOSED", "该订单已关闭，请更换商户订单号重新下单", number=268447914)


def already_expired() -> PayError:
    """`time_expire` or the seven days are over; the order needs a new number."""
    return PayError(
        400, "INVALID_REQUEST", "订单已超过支付结束时间，请更换商户订单号重新下单", number=268447914
    )


def no_such_order() -> PayError:
    """Nothing was ever placed under that number."""
    return PayError(404, "ORDER_NOT_EXIST", "订单不存在")


def system_error() -> PayError:
    """The platform's own trouble; whether something happened is not said."""
    return PayError(500, "SYSTEM_ERROR", "系统异常，请稍后重试")


def too_many() -> PayError:
    """The rate limit."""
    return PayError(429, "FREQUENCY_LIMITED", "频率超限，请降低请求频率")
