"""wechatpy, a client written by others, gets along with the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient, WeChatClientException
from wechatpy.oauth import WeChatOAuth

from tests.sandbox.oa_rig import OaRig, wait_until

REAL = "https://api.weixin.qq.com"


class ToSandbox(HTTPAdapter):
    """Sends what is meant for the real platform to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = (request.url or "").replace(REAL, self.url)
        return super().send(request, *args, **kwargs)


@pytest.fixture
def client(plain_oa: OaRig) -> Any:
    made = WeChatClient(plain_oa.credentials.app_id, plain_oa.credentials.app_secret)
    made._http.trust_env = False
    made._http.mount(REAL, ToSandbox(plain_oa.url))
    yield made
    made._http.close()


def test_menu_users_tags_messages_and_mass(plain_oa: OaRig, client: Any) -> None:
    oa = plain_oa
    client.menu.create({"button": [{"type": "click", "name": "余额", "key": "BALANCE"}]})
    assert client.menu.get()["menu"]["button"][0]["name"] == "余额"
    oa.act("follow")
    oa.act("follow", student="dawei")
    openids = list(client.user.iter_followers())
    assert openids[0] == oa.xiaoming
    assert client.user.get(oa.xiaoming)["subscribe"] == 1
    assert [item["openid"] for item in client.user.get_batch(openids)] == openids
    tag = client.tag.create("dorm")["id"]
    client.tag.tag_user(tag, openids)
    assert client.tag.get_tag_users(tag)["count"] == 2
    client.message.send_text(oa.xiaoming, "到账 5 元")
    assert oa.bubbles()[-1]["text"] == "到账 5 元"
    job = client.message.send_mass_text(openids, "停网通知", client_msg_id="job-1")
    wait_until(lambda: client.message.get_mass(job["msg_id"])["msg_status"] == "SEND_SUCCESS")
    with pytest.raises(WeChatClientException) as refused:
        client.message.send_mass_text(openids, "停网通知", client_msg_id="job-1")
    assert refused.value.errcode == 45065
    code = client.qrcode.create({"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 7}}})
    assert code["ticket"]
    assert client.jsapi.get_jsapi_ticket()


def test_it_renews_a_token_that_was_taken_away(plain_oa: OaRig, client: Any) -> None:
    first = client.access_token
    plain_oa.sim("oa/token/invalidate")
    assert client.misc.get_wechat_ips() == ["127.0.0.1"]
    assert client.access_token != first


def test_web_login_brings_the_openid(plain_oa: OaRig) -> None:
    oa = plain_oa
    login = WeChatOAuth(oa.credentials.app_id, oa.credentials.app_secret, f"{oa.site.origin}/h5/login")
    login._http.trust_env = False
    login._http.mount(REAL, ToSandbox(oa.url))
    page = login.authorize_url.replace("https://open.weixin.qq.com", oa.url)
    answer = oa.http.get(page, cookies={"sim_student": "xiaoming"}, allow_redirects=False)
    code = answer.headers["Location"].split("code=")[1].split("&")[0]
    assert login.fetch_access_token(code)["openid"] == oa.xiaoming
    login._http.close()
