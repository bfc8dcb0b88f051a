from __future__ import annotations

import pytest

from bot.client import WechatClient
from bot.menu import MENU, Button, Entry, click_keys, menu_payload, push_menu
from tests.bot.bot_fake_api import FakeApi


def test_the_menu_is_the_one_of_the_product() -> None:
    names = {button.name: [entry.name for entry in button.entries] for button in MENU}
    assert names == {
        "网费充值": ["立即充值", "给他人充值", "充值记录", "线下充值"],
        "内网服务": ["查余额", "流量用量", "换购套餐", "换购日志", "账号绑定"],
        "服务帮助": ["资费标准", "充值流程", "常见问题", "最新公告", "联系我们"],
    }
    assert len(click_keys()) == 12


def test_the_menu_is_pushed_in_chinese(api: FakeApi, client: WechatClient) -> None:
    api.on("/cgi-bin/menu/create", {"errcode": 0, "errmsg": "ok"})
    push_menu(client, "https://net.test")
    ((_, _, body),) = api.calls_of("/cgi-bin/menu/create")
    assert body == menu_payload("https://net.test")
    first = body["button"][0]["sub_button"][0]
    assert first == {"type": "view", "name": "立即充值", "url": "https://net.test/h5/recharge"}
    assert body["button"][1]["sub_button"][0] == {"type": "click", "name": "查余额", "key": "BALANCE"}


ONE = (Entry("a", key="A"),)


@pytest.mark.parametrize(
    ("menu", "complaint"),
    [
        ((), "one to three"),
        (tuple(Button(str(n), ONE) for n in range(4)), "one to three"),
        ((Button("六个汉字太长", ONE),), "name too long"),
        ((Button("a", ()),), "one to five"),
        ((Button("a", ONE * 6),), "one to five"),
        ((Button("a", (Entry("网" * 21, key="A"),)),), "name too long"),
        ((Button("a", (Entry("a", key="A" * 129),)),), "key too long"),
        ((Button("a", (Entry("a", path="/" + "x" * 1024),)),), "address too long"),
        ((Button("a", (Entry("a"),)),), "either a key or a path"),
        ((Button("a", (Entry("a", key="A", path="/"),)),), "either a key or a path"),
    ],
)
def test_a_menu_beyond_the_limits_is_not_sent(menu: tuple[Button, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        menu_payload("https://net.test", menu)


def test_a_relative_address_is_not_sent() -> None:
    with pytest.raises(ValueError, match="absolute"):
        menu_payload("net.test")
