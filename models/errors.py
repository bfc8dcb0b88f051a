"""Every error that is not a bug.

    ServiceError
      Refused            the person can act; `text` is shown to them            -> 4xx, reply text
        NotBound         no campus account is bound to this WeChat user
        NoSuchAccount    the account does not exist (or may not be recharged)
        AmountInvalid    not a number, or finer than one fen
        AmountOutOfRange below, above or beside the step
        LimitReached     daily limit, rate limit
          PackageLimitReached  this person has bought as many of a special as one may
        BalanceTooLow    the account holds less than would be taken from it
        PackageNotOffered    no such package, or it is not on sale now
        PackageStillRunning  one package at a time, and the last one is not used up
        PriceChanged     the package costs something else by now
        SoldOut          a special whose stock is gone
        NotForYou        a special for another group or department
        NoSuchOrder      no such order for this person
        IllegalTransition the order cannot do this in its state
        OutsideCampus    the page needs the campus network
        LoginNeeded      the page needs the unified identity
        CaptchaWrong     not the characters of the picture, or too late
        PageExpired      a form token or login state is too old
        KeyClosed        the backend refuses every call under this key, for good
      Forged             signature, age, appid or mchid wrong                   -> 401 / 403
      Malformed          authentic sender or not, this is no message            -> 400
      Unknown            the far side may or may not have done it               -> 503, ask first
      Unavailable        the far side is certainly not reachable or not willing -> 503, try later
      Conflict           somebody moved the row first                           -> re-read
      Mismatch           a payment fact and our order differ                    -> parked for a person

Anything else that is raised is a bug and stays loud.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of all named errors; `status` is the HTTP status an entrance answers with."""

    status = 500


class Refused(ServiceError):
    """The person can act on it; `text` is Chinese and shown as it is.

    `code` is short and stable, for the page, the log and the help desk.
    """

    status = 400
    code = "E-REFUSED"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class NotBound(Refused):
    """No campus account is bound to this WeChat user."""

    code = "E-BIND"

    def __init__(self, text: str = "您还没有绑定校园网账号") -> None:
        super().__init__(text)


class NoSuchAccount(Refused):
    """The account does not exist, or it may not be recharged."""

    status = 404
    code = "E-ACCT"

    def __init__(self, text: str = "没有找到这个校园网账号，请核对后重新输入") -> None:
        super().__init__(text)


class AmountInvalid(Refused):
    """Not a number, or finer than one fen."""

    code = "E-AMT"


class AmountOutOfRange(Refused):
    """Below the minimum, above the maximum, or not a multiple of the step."""

    code = "E-RANGE"


class LimitReached(Refused):
    """A daily or rate limit."""

    status = 429
    code = "E-LIMIT"


class PackageLimitReached(LimitReached):
    """This person has bought as many of a special as one may."""

    status = 409
    code = "E-PKG-LIMIT"


class BalanceTooLow(Refused):
    """The account holds less than would be taken from it."""

    status = 409
    code = "E-BALANCE"

    def __init__(self, text: str = "账户余额不足") -> None:
        super().__init__(text)


class PackageNotOffered(Refused):
    """No such package, or it is not on sale now."""

    status = 404
    code = "E-PKG-OFF"

    def __init__(self, text: str = "该套餐不在售，请返回重新选择") -> None:
        super().__init__(text)


class PackageStillRunning(Refused):
    """One package at a time; `text` says what is left of the last one and until when."""

    status = 409
    code = "E-PKG-RUNS"


class PriceChanged(Refused):
    """The package costs something else than what the person agreed to."""

    status = 409
    code = "E-PKG-PRICE"


class SoldOut(Refused):
    """The stock of a special is gone."""

    status = 409
    code = "E-PKG-SOLD"

    def __init__(self, text: str = "该特惠套餐已售完") -> None:
        super().__init__(text)


class NotForYou(Refused):
    """A special for another user group or department."""

    status = 403
    code = "E-PKG-WHO"

    def __init__(self, text: str = "该特惠套餐不面向您所在的用户类别或部门") -> None:
        super().__init__(text)


class NoSuchOrder(Refused):
    """No such order for this person."""

    status = 404
    code = "E-ORDER"

    def __init__(self, text: str = "没有找到这笔订单") -> None:
        super().__init__(text)


class IllegalTransition(Refused):
    """The order cannot do this in its present state."""

    status = 409
    code = "E-STATE"


class OutsideCampus(Refused):
    """The page needs the campus network."""

    status = 403
    code = "E-CAMPUS"


class LoginNeeded(Refused):
    """The page needs the unified identity, or the WeChat identity."""

    status = 401
    code = "E-LOGIN"

    def __init__(self, text: str = "请先登录") -> None:
        super().__init__(text)


class CaptchaWrong(Refused):
    """Not the characters of the picture, or the picture is too old or was used before."""

    code = "E-CAPTCHA"

    def __init__(self, text: str = "验证码不对或已过期，请按新的图片重新输入") -> None:
        super().__init__(text)


class PageExpired(Refused):
    """A form token or a login state is too old, or was used before."""

    code = "E-PAGE"

    def __init__(self, text: str = "页面已过期，请返回重试") -> None:
        super().__init__(text)


class KeyClosed(Refused):
    """A call under a key that was closed: it never took effect and never will."""

    status = 409
    code = "E-CLOSED"

    def __init__(self, text: str = "该笔业务编号已作废") -> None:
        super().__init__(text)


class Forged(ServiceError):
    """Signature, age, appid or mchid is wrong. The message names the check, never the content."""

    status = 403


class Malformed(ServiceError):
    """This is no message of the kind the entrance accepts."""

    status = 400


class Unknown(ServiceError):
    """The far side may or may not have done it: ask, never repeat blindly."""

    status = 503


class Unavailable(ServiceError):
    """The far side certainly did not do it and may do so later."""

    status = 503


class Conflict(ServiceError):
    """Somebody moved the row first: read it again."""

    status = 409


class Mismatch(ServiceError):
    """A verified payment fact contradicts our order; a person has to look.

    `field` names what differs (amount, openid, appid, mchid, currency).
    """

    status = 500

    def __init__(self, field: str, order_no: str) -> None:
        super().__init__(f"{field} differs for order {order_no}")
        self.field = field
        self.order_no = order_no
