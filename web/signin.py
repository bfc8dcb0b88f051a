"""Round trips to somebody else's login page, and what the session remembers of a person.

The session is a signed cookie: it holds identifiers and times, nothing that is secret to its owner.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import session

from models.errors import LoginNeeded, PageExpired
from web.current import services

ROUND_TRIP_S = 600
OPENID_LIFE_S = 12 * 3600
PORTAL_LIFE_S = 30 * 60
FRESH_LIFE_S = 5 * 60


class LoginStale(LoginNeeded):
    """What would be done moves money, and the password was typed too long ago."""

    code = "E-FRESH"

    def __init__(self, text: str = "为保障资金安全，请重新登录，并在 5 分钟内提交") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Begun:
    """A login that this browser began: where it should lead, and whether the password had to be typed."""

    target: str
    fresh: bool


def begin(purpose: str, target: str, *, fresh: bool = False) -> str:
    """Remember where a login should lead. Returns: the state to send along."""
    state = secrets.token_hex(16)
    session[f"begun_{purpose}"] = {"state": state, "target": target, "at": _now_s(), "fresh": fresh}
    return state


def finish(purpose: str, state: str) -> Begun:
    """A login that this browser began, once. Raises: PageExpired."""
    begun = session.get(f"begun_{purpose}")
    if begun is None or not hmac.compare_digest(str(begun["state"]).encode(), state.encode()):
        # Not ended by somebody else's state: two taps begin two logins, and the older comes back first.
        raise PageExpired
    del session[f"begun_{purpose}"]
    if _now_s() - int(begun["at"]) > ROUND_TRIP_S:
        raise PageExpired
    return Begun(str(begun["target"]), fresh=bool(begun.get("fresh")))


def remember_openid(openid: str) -> None:
    """This browser belongs to this WeChat user for half a day."""
    session["wechat"] = {"openid": openid, "at": _now_s()}


def known_openid() -> str | None:
    """The WeChat user of this browser, or None."""
    known = session.get("wechat")
    if known is None or _now_s() - int(known["at"]) > OPENID_LIFE_S:
        return None
    return str(known["openid"])


def remember_portal(account_no: str, *, fresh: bool = False) -> None:
    """This browser has proved an account for the portal; anything of an earlier login is dropped.

    `fresh`: the identity server vouches that the password was typed just now.
    """
    session.pop("csrf_token", None)
    now_s = _now_s()
    session["portal"] = {"account_no": account_no, "login": secrets.token_hex(8), "at": now_s}
    if fresh:
        session["portal"]["typed_at"] = now_s


def portal_account(*, renew: bool = True) -> str | None:
    """The account logged in to the portal, or None; what a person does there renews the half hour."""
    known = session.get("portal")
    if known is None or "login" not in known or _now_s() - int(known["at"]) > PORTAL_LIFE_S:
        return None
    if renew:
        session["portal"] = {**known, "at": _now_s()}
    return str(known["account_no"])


def fresh_until() -> datetime | None:
    """Until when what moves money may be asked for without the password; None when it is too late."""
    typed_s = session.get("portal", {}).get("typed_at")
    if typed_s is None or _now_s() - int(typed_s) > FRESH_LIFE_S:
        return None
    return datetime.fromtimestamp(int(typed_s) + FRESH_LIFE_S, UTC)


def insist_fresh() -> None:
    """Return when the password was typed in the last five minutes. Raises: LoginStale."""
    if fresh_until() is None:
        raise LoginStale


def portal_login() -> str:
    """What tells this login from every other, also of the same account. Raises: KeyError - not logged in."""
    return str(session["portal"]["login"])


def forget_portal() -> None:
    """Log out of the portal; the WeChat identity of the browser stays."""
    session.pop("portal", None)


def _now_s() -> int:
    return int(services().clock().timestamp())
