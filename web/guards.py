"""Who may see a page: decorators that ask for a login, the campus network, or patience."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import quote

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from models.errors import LoginNeeded, OutsideCampus
from models.people.login_session import LoginPurpose
from web import qr, signin, targets
from web.current import services

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]
OwnView = Callable[Concatenate[str, P], ResponseReturnValue]

CONNECT_FIRST = "请先连接 GUET-WiFi"
SAFE_METHODS = ("GET", "HEAD")


def in_wechat() -> bool:
    """Whether the page is open inside WeChat."""
    return "MicroMessenger" in request.user_agent.string


def wants_json() -> bool:
    """Whether the caller is a script of ours rather than a person."""
    return request.accept_mimetypes.best == "application/json"


def openid_first(view: OwnView[P]) -> View[P]:
    """Hand the openid to the view as its first argument, after OAuth where needed.

    Outside WeChat a page shows its QR code instead; scripts and forms get LoginNeeded.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        openid = signin.known_openid()
        return ask_wechat() if openid is None else view(openid, *args, **kwargs)

    return guarded


def ask_wechat() -> ResponseReturnValue:
    """Send the browser to WeChat for its openid and back to this very page."""
    if request.method not in SAFE_METHODS or wants_json():
        raise LoginNeeded("登录已过期，请刷新页面后重试")
    if not in_wechat():
        return render_template("outside_wechat.html", code=qr.page_code(), url=qr.page_url())
    here = services()
    state, _ = signin.begin(LoginPurpose.WECHAT, targets.asked())
    return redirect(here.oauth.authorize_url(here.site.link("/h5/oauth/callback"), state))


def account_first(view: OwnView[P]) -> View[P]:
    """Hand the portal's account to the view as its first argument, after a login where needed."""
    return _with_account(view, renew=True)


def watching_account_first(view: OwnView[P]) -> View[P]:
    """As `account_first`, for a script that asks by itself: that is no use that prolongs the login."""
    return _with_account(view, renew=False)


def _with_account(view: OwnView[P], *, renew: bool) -> View[P]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        account_no = signin.portal_account(renew=renew)
        if account_no is not None:
            return view(account_no, *args, **kwargs)
        if request.method not in SAFE_METHODS or wants_json():
            raise LoginNeeded("登录已过期，请重新登录")
        return redirect(f"/self/login?next={quote(targets.asked(), safe='/')}")

    return guarded


def when_able(*abilities: str) -> Callable[[View[P]], View[P]]:
    """A page that exists only where the billing back end has at least one of these capabilities."""

    def guard(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            can = services().billing.capabilities()
            if not any(getattr(can, ability) for ability in abilities):
                raise NotFound
            return view(*args, **kwargs)

        return guarded

    return guard


def require_campus() -> None:
    """Raises: OutsideCampus - the client's address is not one of the campus networks."""
    if not services().site.on_campus(request.remote_addr or ""):
        raise OutsideCampus(CONNECT_FIRST)
