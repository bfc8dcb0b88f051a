from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.client import WechatClient
from bot.errors import ConfigurationWrong
from bot.oauth import OAuth, SnapshotUser
from models.errors import PageExpired, Unknown
from tests.bot.bot_fake_api import FakeApi

TOKEN = "/sns/oauth2/access_token"
TICKET = "/cgi-bin/ticket/getticket"


@pytest.fixture
def oauth(client: WechatClient, now: datetime) -> OAuth:
    return OAuth(client, "https://open.weixin.qq.com", lambda: now)


def test_the_login_address_is_encoded(oauth: OAuth) -> None:
    url = oauth.authorize_url("https://net.test/h5/back?to=/h5/orders&x=1", "a&b#c")
    parts = urlsplit(url)
    assert url.startswith("https://open.weixin.qq.com/connect/oauth2/authorize?appid=")
    assert parts.fragment == "wechat_redirect"
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query["redirect_uri"] == "https://net.test/h5/back?to=/h5/orders&x=1"
    assert (query["state"], query["scope"], query["response_type"]) == ("a&b#c", "snsapi_base", "code")


def test_a_code_becomes_an_openid_without_an_access_token(api: FakeApi, oauth: OAuth) -> None:
    api.on(TOKEN, {"access_token": "x", "openid": "oStudent", "scope": "snsapi_base"})
    assert oauth.openid_of("071abc") == "oStudent"
    ((_, query, _),) = api.calls_of(TOKEN)
    assert query["code"] == "071abc"
    assert "access_token" not in query
    assert api.tokens_given == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"errcode": 40029, "errmsg": "invalid code"}, PageExpired),
        ({"errcode": 40163, "errmsg": "code been used"}, PageExpired),
        ({"errcode": 40125, "errmsg": "invalid appsecret"}, ConfigurationWrong),
        ({"openid": "oStudent", "is_snapshotuser": 1}, SnapshotUser),
        ({"openid": "o<script>"}, Unknown),
        ({}, Unknown),
    ],
)
def test_codes_that_name_nobody(api: FakeApi, oauth: OAuth, answer: Any, error: type[Exception]) -> None:
    api.on(TOKEN, answer)
    with pytest.raises(error):
        oauth.openid_of("071abc")


@pytest.mark.parametrize("code", ["", "a b", "x" * 200, "码"])
def test_an_odd_code_is_not_even_asked_about(api: FakeApi, oauth: OAuth, code: str) -> None:
    with pytest.raises(PageExpired):
        oauth.openid_of(code)
    assert api.calls == []


def test_the_page_signature_uses_one_shared_ticket(api: FakeApi, oauth: OAuth) -> None:
    api.on(TICKET, {"errcode": 0, "errmsg": "ok", "ticket": "ticket-1", "expires_in": 7200})
    config = oauth.jssdk_config("https://net.test/h5/recharge?a=1#top")
    oauth.jssdk_config("https://net.test/")
    assert len(api.calls_of(TICKET)) == 1
    text = (
        f"jsapi_ticket=ticket-1&noncestr={config['nonceStr']}&timestamp={config['timestamp']}"
        "&url=https://net.test/h5/recharge?a=1"
    )
    assert config["signature"] == hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - WeChat's algorithm
    assert config["appId"] == "wx0123456789abcdef"
