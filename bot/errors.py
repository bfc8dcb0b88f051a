"""What the WeChat platform says no to, as classes.

ServiceError
  ApiRefused            the platform refused: certainly not done
    QuotaExhausted      a daily, monthly or per-minute limit
      TooFast           the one per minute
      WindowUsedUp      the few customer messages to this person are used up
    UserUnreachable     this person cannot be written to now (blocked, unknown)
      WindowClosed      no customer message now: the last word from this person is too long ago
    ConfigurationWrong  appid, secret, address list or permission: an operator has to act
    TokenRejected       the access token was refused twice, with a renewal between
    AlreadySubmitted    this mass message was submitted before; `msg_id` is the first one's
    RetriedTooFast      the same mass message was tried again within a minute
  Unknown, Unavailable  in models.errors: no usable answer, or nobody to ask
"""

from __future__ import annotations

from models.errors import ServiceError

STALE_TOKEN_CODES = frozenset({40001, 40014, 42001})
_BUSY = -1


class ApiRefused(ServiceError):
    """The platform refused; certainly nothing was done. `errcode` is WeChat's number."""

    status = 502

    def __init__(self, errcode: int, message: str, msg_id: str = "") -> None:
        super().__init__(f"{errcode}: {message}")
        self.errcode = errcode
        self.message = message
        self.msg_id = msg_id


class QuotaExhausted(ApiRefused):
    """A daily, monthly or per-minute limit; stop until it is renewed."""


class TooFast(QuotaExhausted):
    """The limit per minute; it is renewed with the next one."""


class WindowUsedUp(QuotaExhausted):
    """The customer messages to this person are used up until they write again."""


class TemplatesUsedUp(QuotaExhausted):
    """The template messages of the day are used up; customer messages to others still go."""


class UserUnreachable(ApiRefused):
    """This person cannot be written to now; skip them."""


class WindowClosed(UserUnreachable):
    """No customer message can go to this person now; a template message may."""


class ConfigurationWrong(ApiRefused):
    """An operator has to act: appid, secret, address list or permission."""


class TokenRejected(ApiRefused):
    """The access token is stale; seen outside only when renewing it did not help."""


class AlreadySubmitted(ApiRefused):
    """A mass message with this clientmsgid exists; `msg_id` is its number."""


class RetriedTooFast(ApiRefused):
    """The same clientmsgid was tried again within a minute."""


_CLASSES: dict[int, type[ApiRefused]] = {
    **dict.fromkeys((45009, 45028, 48006), QuotaExhausted),
    **dict.fromkeys((43004, 43101, 48002, 50005, 40003, 46004, 43019), UserUnreachable),
    **dict.fromkeys((40013, 40125, 40164, *range(41001, 41010), 48001, 48004, 61024), ConfigurationWrong),
    **dict.fromkeys(STALE_TOKEN_CODES, TokenRejected),
    45011: TooFast,
    45015: WindowClosed,
    45047: WindowUsedUp,
    45065: AlreadySubmitted,
    45066: RetriedTooFast,
}


def is_busy(errcode: int) -> bool:
    """Whether the platform called itself busy, which says nothing about what it did."""
    return errcode == _BUSY


def refusal(errcode: int, message: str, msg_id: str = "") -> ApiRefused:
    """The error class that belongs to WeChat's error number."""
    return _CLASSES.get(errcode, ApiRefused)(errcode, message, msg_id)
