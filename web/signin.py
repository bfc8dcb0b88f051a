"""Round trips to somebody else's login page, and what the session remembers of a person.

The session is a signed cookie: it holds identifiers and times, nothing that is secret to its owner.
"""

from __future__ import annotations

import hmac
import secrets

from flask import session

from models.errors import PageExpired
from web.current import services

ROUND_TRIP_S = 600
OPENID_LIFE_S = 12 * 3600
PORTAL_LIFE_S = 30 * 60


def begin(purpose: str, target: str) -> str:
    """Remember where a login should lead. Returns: the state to send along."""
    state = secrets.token_hex(16)
    session[f"begun_{purpose}"] = {"state": state, "target": target, "at": _now_s()}
    return state


def finish(purpose: str, state: str) -> str:
    """The target of a login that this browser began, once. Raises: PageExpired."""
    begun = session.pop(f"begun_{purpose}", None)
    if begun is None or not hmac.compare_digest(str(begun["state"]).encode(), state.encode()):
        raise PageExpired
    if _now_s() - int(begun["at"]) > ROUND_TRIP_S:
        raise PageExpired
    return str(begun["target"])


def remember_openid(openid: str) -> None:
    """This browser belongs to this WeChat user for half a day."""
    session["wechat"] = {"openid": openid, "at": _now_s()}


def known_openid() -> str | None:
    """The WeChat user of this browser, or None."""
    known = session.get("wechat")
    if known is None or _now_s() - int(known["at"]) > OPENID_LIFE_S:
        return None
    return str(known["openid"])


def remember_portal(account_no: str) -> None:
    """This browser has proved an account for the portal; anything of an earlier login is dropped."""
    session.pop("csrf_token", None)
    session["portal"] = {"account_no": account_no, "login": secrets.token_hex(8), "at": _now_s()}


def portal_account(*, renew: bool = True) -> str | None:
    """The account logged in to the portal, or None; what a person does there renews the half hour."""
    known = session.get("portal")
    if known is None or "login" not in known or _now_s() - int(known["at"]) > PORTAL_LIFE_S:
        return None
    if renew:
        session["portal"] = {**known, "at": _now_s()}
    return str(known["account_no"])


def portal_login() -> str:
    """What tells this login from every other, also of the same account. Raises: KeyError - not logged in."""
    return str(session["portal"]["login"])


def forget_portal() -> None:
    """Log out of the portal; the WeChat identity of the browser stays."""
    session.pop("portal", None)


def _now_s() -> int:
    return int(services().clock().timestamp())
