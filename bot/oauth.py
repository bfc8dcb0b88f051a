"""Who opened a page inside WeChat, and the signature pages need for the JS-SDK."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlencode

from bot.client import WechatClient
from bot.crypto import jsapi_signature
from bot.errors import ApiRefused, ConfigurationWrong
from bot.push import OPENID
from models.clock import Clock
from models.errors import PageExpired, Refused, Unknown

_CODE = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)


class SnapshotUser(Refused):
    """WeChat showed the page to a made-up user, before the person agreed to be known."""

    status = 403
    code = "E-SNAP"

    def __init__(self, text: str = "请先点击页面下方的“使用完整服务”，再继续操作") -> None:
        super().__init__(text)


class OAuth:
    """WeChat's page login. The caller makes, keeps and compares `state`."""

    def __init__(self, client: WechatClient, oauth_base: str, clock: Clock) -> None:
        self._client = client
        self._oauth_base = oauth_base
        self._clock = clock

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Where to send the browser; it comes back to `redirect_uri` with `code` and `state`."""
        query = urlencode(
            {
                "appid": self._client.app_id,
                "redirect_uri": redirect_uri,
                "response_type": "code",
                "scope": "snsapi_base",
                "state": state,
            }
        )
        return f"{self._oauth_base}/connect/oauth2/authorize?{query}#wechat_redirect"

    def openid_of(self, code: str) -> str:
        """Who came back with this code.

        Raises:
            PageExpired: the code was used before or is too old.
            SnapshotUser: a made-up user; good for looking, not for paying.
        """
        if not _CODE.fullmatch(code):
            raise PageExpired
        query = {**self._client.credentials(), "code": code, "grant_type": "authorization_code"}
        try:
            answer = self._client.get_without_token("/sns/oauth2/access_token", query)
        except ConfigurationWrong:
            raise
        except ApiRefused as error:
            raise PageExpired from error
        if answer.get("is_snapshotuser"):
            raise SnapshotUser
        openid = answer.get("openid")
        if not isinstance(openid, str) or not OPENID.fullmatch(openid):
            raise Unknown("no openid in the answer")
        return openid

    def jssdk_config(self, url: str) -> dict[str, str]:
        """The arguments of `wx.config` for a page, which is known by its full address."""
        timestamp = str(int(self._clock().timestamp()))
        noncestr = secrets.token_hex(8)
        signature = jsapi_signature(self._client.tickets.get(), noncestr, timestamp, url)
        config = {"appId": self._client.app_id, "timestamp": timestamp, "nonceStr": noncestr}
        return {**config, "signature": signature}
