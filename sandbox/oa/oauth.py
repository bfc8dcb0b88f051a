"""Web authorisation: codes, their tokens, what the site may learn about a person."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.engine import Engine
from sandbox.oa.errors import ApiError
from sandbox.oa.token import check_app
from sandbox.oa.values import Call
from sandbox.urls import with_parameters

CODE_LIFE_S = 300
ACCESS_LIFE_S = 7200
REFRESH_LIFE_S = 30 * 24 * 3600
STATE_LIMIT_BYTES = 128
SCOPES = {"snsapi_base", "snsapi_userinfo"}


class AuthorizeRefused(Exception):
    """The authorisation page shows an error instead; `code` is the platform's number."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Grant:
    """One person's permission, from the code on."""

    openid: str
    scope: str
    at: float
    snapshot: bool = False
    used: bool = False


@dataclass(frozen=True)
class AuthorizeRequest:
    """A checked request for the authorisation page."""

    redirect_uri: str
    scope: str
    state: str


class OAuth:
    """connect/oauth2/authorize and sns/*."""

    def __init__(self, engine: Engine, name_of: Callable[[str], str]) -> None:
        self._engine = engine
        self._name_of = name_of
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}

    def check_request(self, query: Mapping[str, str]) -> AuthorizeRequest:
        """The request of the authorisation page, or AuthorizeRefused with the page's text."""
        app_id = query.get("appid", "")
        if not app_id:
            raise AuthorizeRefused(10012, "appid不能为空")
        if app_id != self._engine.credentials.app_id:
            raise AuthorizeRefused(10013, "该公众号不存在，请检查 appid")
        redirect_uri = query.get("redirect_uri", "")
        if not redirect_uri:
            raise AuthorizeRefused(10011, "redirect_uri不能为空")
        if not self._is_ours(redirect_uri):
            raise AuthorizeRefused(10003, "redirect_uri域名与后台配置不一致")
        if query.get("response_type") != "code":
            raise AuthorizeRefused(10007, "response_type 应为 code")
        scope = query.get("scope", "")
        if not scope:
            raise AuthorizeRefused(10010, "scope不能为空")
        if scope not in SCOPES:
            raise AuthorizeRefused(10005, "Scope 参数错误或没有 Scope 权限")
        state = query.get("state", "")
        if len(state.encode()) > STATE_LIMIT_BYTES:
            raise AuthorizeRefused(10014, "state 最多 128 字节")
        return AuthorizeRequest(redirect_uri, scope, state)

    def grant(self, request: AuthorizeRequest, openid: str) -> str:
        """The address to go back to, with a fresh code and the state as it came."""
        fault = self._engine.faults.take("oauth")
        snapshot = fault is not None and fault.name == "snapshot_user"
        code = "0" + secrets.token_urlsafe(23)
        self._codes[code] = Grant(openid, request.scope, self._engine.clock.timestamp(), snapshot=snapshot)
        return with_parameters(request.redirect_uri, {"code": code, "state": request.state})

    def access_token(self, call: Call) -> dict[str, object]:
        """sns/oauth2/access_token: a code once, within five minutes."""
        own = self._engine.credentials
        check_app(call.query.get("appid", ""), call.query.get("secret", ""), own.app_id, own.app_secret)
        if call.query.get("grant_type") != "authorization_code":
            raise ApiError(40002)
        code = call.query.get("code", "")
        if not code:
            raise ApiError(41008)
        grant = self._codes.get(code)
        if grant is None:
            raise ApiError(40029)
        if grant.used:
            raise ApiError(40163)
        if self._engine.clock.timestamp() - grant.at >= CODE_LIFE_S:
            raise ApiError(40029)
        grant.used = True
        return self._tokens(grant)

    def refresh(self, call: Call) -> dict[str, object]:
        """sns/oauth2/refresh_token, within 30 days."""
        if call.query.get("appid") != self._engine.credentials.app_id:
            raise ApiError(40013)
        if call.query.get("grant_type") != "refresh_token":
            raise ApiError(40002)
        grant = self._refresh.get(call.query.get("refresh_token", ""))
        if grant is None:
            raise ApiError(40030)
        if self._engine.clock.timestamp() - grant.at >= REFRESH_LIFE_S:
            raise ApiError(42002)
        return self._tokens(grant, refresh_token=call.query["refresh_token"])

    def userinfo(self, call: Call) -> dict[str, object]:
        """sns/userinfo: snsapi_userinfo only."""
        grant = self._granted(call)
        if grant.scope != "snsapi_userinfo":
            raise ApiError(48001)
        return {
            "openid": grant.openid,
            "nickname": self._name_of(grant.openid) or "微信用户",
            "sex": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": "",
            "privilege": [],
        }

    def check(self, call: Call) -> dict[str, object]:
        """sns/auth: is this token still good for this person?"""
        self._granted(call)
        return {"errcode": 0, "errmsg": "ok"}

    def _granted(self, call: Call) -> Grant:
        if not call.query.get("access_token"):
            raise ApiError(41001)
        grant = self._access.get(call.query["access_token"])
        if grant is None:
            raise ApiError(40001)
        if self._engine.clock.timestamp() - grant.at >= ACCESS_LIFE_S:
            raise ApiError(42001)
        if call.query.get("openid") != grant.openid:
            raise ApiError(40003)
        return grant

    def _tokens(self, grant: Grant, refresh_token: str = "") -> dict[str, object]:
        access_token = f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(64)}"
        now = self._engine.clock.timestamp()
        self._access[access_token] = Grant(grant.openid, grant.scope, now)
        if not refresh_token:
            refresh_token = f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(64)}"
            self._refresh[refresh_token] = Grant(grant.openid, grant.scope, now)
        answer: dict[str, object] = {
            "access_token": access_token,
            "expires_in": ACCESS_LIFE_S,
            "refresh_token": refresh_token,
            "openid": grant.openid,
            "scope": grant.scope,
        }
        return {**answer, "is_snapshotuser": 1} if grant.snapshot else answer

    def _is_ours(self, redirect_uri: str) -> bool:
        parts = urlsplit(redirect_uri)
        return parts.scheme in {"http", "https"} and parts.netloc == urlsplit(self._engine.site.origin).netloc
