"""The unified identity as OpenID Connect, in a browser that keeps to our content security policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from app.redis_server import RedisServer
from sandbox.credentials import Credentials
from tests.browser.conftest import Hold, open_town
from tests.browser.desk import desktop
from tests.browser_rig import NEEDS_BROWSER, errors_of
from tests.journeys.town import Town

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, credentials: Credentials, redis_server: RedisServer
) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("oidc")
    with open_town(folder, credentials, redis_server, identity={"kind": "oidc"}) as opened:
        assert opened.rig.config.identity.base_url.endswith("/oidc")
        yield opened


def test_a_student_logs_in_at_the_desk_and_out_again(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student)
    errors = errors_of(page)
    # The form of the logout leads to another origin, which the policy has to allow.
    page.get_by_role("button", name="退出登录").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("统一身份认证")
    assert page.url.startswith(f"{town.rig.sandbox.url}/oidc/authorize?")
    page.goto(f"{town.rig.origin}/self/statement")
    expect(page.get_by_role("heading", level=1)).to_have_text("统一身份认证")
    assert errors == []
    page.context.close()


def test_a_wrong_password_is_asked_again(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student)
    page.get_by_role("button", name="退出登录").click()
    page.get_by_label("学号").fill(student.account_no)
    page.get_by_label("密码").fill("wrong")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("用户名或密码错误")
    page.get_by_label("密码").fill("demo")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_label("我的账号")).to_contain_text(student.account_no)
    page.context.close()


def test_a_student_binds_the_account_on_the_phone(town: Town, hold: Hold) -> None:
    student = town.newcomer()
    screen = hold(student)
    screen.follow().get_by_role("button", name="绑定校园网账号").click()
    screen.web.get_by_role("link", name="统一身份认证登录并绑定").click()
    screen.log_in()
    expect(screen.web.get_by_role("status")).to_contain_text("绑定成功")
    expect(screen.web.get_by_label("已绑定的账号")).to_contain_text(student.account_no)
    screen.back_to_chat()
    assert screen.ask_balance_fen() == 1234
