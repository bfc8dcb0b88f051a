"""The platform's API: wechatpy's catalogue on our own wire, tokens and error classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from redis import Redis
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError
from wechatpy.client import WeChatClient
from wechatpy.exceptions import WeChatClientException

from bot.errors import TokenRejected, is_busy, refusal
from bot.tokens import SharedValue
from models.errors import ServiceError, Unavailable, Unknown

# wechatpy has this address in some thirty places; the adapter turns it into the configured one.
PLATFORM = "https://api.weixin.qq.com"
POOL_SIZE = 32
FIRST_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """`api_base` without a slash at the end."""

    app_id: str
    app_secret: str = field(repr=False)
    api_base: str = PLATFORM
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 5.0


class WechatClient:
    """Calls the platform; raises `bot.errors` for a no, `Unknown` and `Unavailable` for no answer.

    `api` is wechatpy's client, whose calls go the same way.
    """

    def __init__(self, config: ClientConfig, redis: Redis) -> None:
        self._config = config
        self.app_id = config.app_id
        self.tokens = SharedValue(redis, f"campusnet:token:{config.app_id}", self._fetch_token)
        self.tickets = SharedValue(redis, f"campusnet:ticket:{config.app_id}", self._fetch_ticket)
        self.api: Any = _Catalogue(config, self.tokens)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """GET below /cgi-bin/ with the access token."""
        return _mapping(self.api.get(path, params=dict(params or {})))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON below /cgi-bin/ with the access token."""
        return _mapping(self.api.post(path, data=dict(body)))

    def get_without_token(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """GET an absolute path that is authorised by its parameters."""
        return self.api.ask_bare("get", PLATFORM + path, params=dict(params))  # type: ignore[no-any-return]

    def credentials(self) -> dict[str, str]:
        """The appid and the secret, as the calls without token want them."""
        return {"appid": self._config.app_id, "secret": self._config.app_secret}

    def _fetch_token(self) -> tuple[str, int]:
        # stable_token gives the same token to everybody who asks, so a race costs nothing.
        body = {"grant_type": "client_credential", **self.credentials(), "force_refresh": False}
        answer = self.api.ask_bare("post", f"{PLATFORM}/cgi-bin/stable_token", data=json.dumps(body).encode())
        return _secret_in(answer, "access_token")

    def _fetch_ticket(self) -> tuple[str, int]:
        return _secret_in(self.get("ticket/getticket", {"type": "jsapi"}), "ticket")


class _Catalogue(WeChatClient):  # type: ignore[misc]
    """wechatpy's client with the shared token, one retry, time-outs and our errors."""

    def __init__(self, config: ClientConfig, tokens: SharedValue) -> None:
        timeouts = (config.connect_timeout_s, config.read_timeout_s)
        super().__init__(config.app_id, config.app_secret, timeout=timeouts, auto_retry=False)
        self._tokens = tokens
        self._http.trust_env = False
        self._http.mount(PLATFORM, _ConfiguredAddress(config.api_base))

    @property
    def access_token(self) -> str:
        """The shared token; wechatpy's own would be fetched without lock and time-out."""
        return self._tokens.get()

    def ask_bare(self, method: str, url: str, **wire: Any) -> dict[str, Any]:
        """One call without access token."""
        return _mapping(self._ask(lambda: self._send_bare(method, url, **wire)))

    def _request(self, method: str, url_or_endpoint: str, **wire: Any) -> Any:
        params = wire.pop("params", None) or {}
        token = self._tokens.get()
        try:
            return self._send(method, url_or_endpoint, {**params, "access_token": token}, wire)
        except TokenRejected:
            self._tokens.drop(token)
        token = self._tokens.get()
        return self._send(method, url_or_endpoint, {**params, "access_token": token}, wire)

    def _send(self, method: str, endpoint: str, params: dict[str, Any], wire: Mapping[str, Any]) -> Any:
        send = super()._request
        return self._ask(lambda: send(method, endpoint, params=params, allow_redirects=False, **wire))

    def _send_bare(self, method: str, url: str, **wire: Any) -> Any:
        response = self._http.request(method, url, timeout=self.timeout, allow_redirects=False, **wire)
        if not response.ok:
            raise WeChatClientException(None, None, response=response)
        return self._handle_result(response)

    @staticmethod
    def _ask(call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except WeChatClientException as error:
            raise _translated(error) from error
        except requests.RequestException as error:
            raise _unanswered(error) from error
        if isinstance(answer, requests.Response):
            raise Unknown("the answer is no JSON")
        return answer


class _ConfiguredAddress(HTTPAdapter):
    """Sends what is meant for the platform to the configured address."""

    def __init__(self, api_base: str) -> None:
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)
        self._api_base = api_base

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Change the address, nothing else."""
        if request.url is not None:
            request.url = self._api_base + request.url.removeprefix(PLATFORM)
        return super().send(request, *args, **kwargs)


def _mapping(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise Unknown("the answer is no object")
    return answer


def _translated(error: WeChatClientException) -> ServiceError:
    if error.errcode is None:
        status: int = error.response.status_code
        no_answer = status >= FIRST_SERVER_ERROR
        return Unknown(f"HTTP {status}") if no_answer else refusal(status, "HTTP status")
    code = int(error.errcode)
    if is_busy(code):
        return Unknown("the platform is busy")
    return refusal(code, str(error.errmsg)[:200], _msg_id_in(error.response))


def _unanswered(error: requests.RequestException) -> ServiceError:
    cause = error.args[0] if error.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    if refused or isinstance(error, requests.ConnectTimeout):
        return Unavailable(type(error).__name__)
    return Unknown(type(error).__name__)


def _msg_id_in(response: requests.Response | None) -> str:
    try:
        answer = json.loads(response.content, strict=False) if response is not None else {}
    except ValueError:
        return ""
    return str(answer.get("msg_id") or "") if isinstance(answer, dict) else ""


def _secret_in(answer: Mapping[str, Any], name: str) -> tuple[str, int]:
    value, expires_in_s = answer.get(name), answer.get("expires_in")
    if not isinstance(value, str) or not value or not isinstance(expires_in_s, int):
        raise Unknown(f"no {name} in the answer")
    return value, expires_in_s
