"""Attacks from outside, over HTTP only, against a whole running service."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

from app.phone import link_in
from sandbox.credentials import Credentials
from tests.journeys.entrance import Entrance
from tests.journeys.town import PASSWORD, Student, Town, text_of

CAMPUS = {"X-Forwarded-For": "10.70.1.23"}
WECHAT = {"User-Agent": "Mozilla/5.0 MicroMessenger/8.0.50", "X-Forwarded-For": "203.0.113.7"}
DESKTOP = {"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140", "X-Forwarded-For": "203.0.113.8"}


class Browser:
    """A browser of anyone's: no phone, no simulator's help."""

    def __init__(self, town: Town, headers: dict[str, str]) -> None:
        self._town = town
        self._session = requests.Session()
        self._session.headers.update(headers)
        self._session.trust_env = False

    @property
    def cookies(self) -> Any:
        return self._session.cookies

    def get(self, address: str, *, follow: bool = True) -> requests.Response:
        return self._session.get(urljoin(self._town.rig.origin, address), allow_redirects=follow, timeout=30)

    def post(self, address: str, **form: str) -> requests.Response:
        url = urljoin(self._town.rig.origin, address)
        return self._session.post(url, data=form, allow_redirects=False, timeout=30)

    def log_in(self, login: requests.Response, student: Student, *, follow: bool = True) -> requests.Response:
        """Fill in the form of the unified identity."""
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', login.text))
        fields |= {"username": student.account_no, "password": PASSWORD}
        return self._session.post(login.url, data=fields, allow_redirects=follow, timeout=30)


def csrf_in(page: requests.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def test_a_login_link_sent_to_a_victim_binds_nothing_and_shows_no_ticket(town: Town) -> None:
    attacker, victim = town.newcomer(), town.newcomer("陈美玲")
    attacker.follow()
    link = attacker.open("/h5/bind/login").url
    assert "/cas/login" in link
    browser = Browser(town, DESKTOP)
    landed = browser.log_in(browser.get(link), victim)
    state = parse_qs(urlsplit(parse_qs(urlsplit(link).query)["service"][0]).query)["state"][0]
    assert landed.status_code == 400
    for secret in ("ST-", state, "data-copy", 'class="qr"'):
        assert secret not in landed.text
    # The attacker opens the victim's address as it stands in the victim's browser.
    assert "/h5/bind/callback" in landed.url
    page = attacker.open(landed.url)
    assert victim.account_no not in page.text
    assert victim.account_no not in attacker.say("余额")
    assert victim.account_no not in attacker.open("/h5/bind").text


def test_a_copied_cookie_ends_with_the_logout(town: Town) -> None:
    student = town.newcomer()
    owner = Browser(town, CAMPUS)
    home = owner.log_in(owner.get("/self/login?fresh=1"), student)
    assert student.account_no in home.text
    thief = Browser(town, CAMPUS)
    # The cookie of our site alone: that of the identity server lives on another host.
    thief.cookies.set("campusnet", owner.cookies["campusnet"])
    payout = thief.get("/self/payout")
    assert student.account_no in thief.get("/self/").text
    assert owner.post("/self/logout", csrf_token=csrf_in(home)).status_code == 303
    assert student.account_no not in thief.get("/self/").text
    form = {"payee": "赵小满", "bank_name": "中国银行", "bank_account": "6217000000000000009"}
    asked = thief.post("/self/payout", csrf_token=csrf_in(payout), **form)
    assert asked.status_code in (302, 400, 401)


def test_one_state_of_wechats_login_is_used_once(town: Town) -> None:
    browser = Browser(town, WECHAT)
    out = browser.get("/h5/orders", follow=False).headers["Location"]
    state = parse_qs(urlsplit(out).query)["state"][0]
    before = calls(town, "/sns/oauth2/access_token")
    with ThreadPoolExecutor(8) as pool:
        path = f"/h5/oauth/callback?code=stolen&state={state}"
        codes = list(pool.map(lambda _: browser.get(path, follow=False).status_code, range(60)))
    assert calls(town, "/sns/oauth2/access_token") - before == 1
    assert set(codes) == {400}


@pytest.mark.parametrize("size", [2_400, 8_000, 30_000])
def test_a_long_address_costs_no_more_than_a_short_one(town: Town, size: int) -> None:
    browser = Browser(town, DESKTOP)
    plain = browser.get("/h5/recharge")
    long = browser.get(f"/h5/recharge?x={'A' * size}")
    assert long.status_code == 200
    assert len(long.content) <= len(plain.content) + 100


@pytest.mark.parametrize(
    "words", ["充值" + " " * 16_000 + "x", "余额提醒" + " " * 16_000, "¥" * 16_000, "9" * 16_000]
)
def test_a_long_message_is_answered_and_keeps_nobody_waiting(town: Town, words: str) -> None:
    student, other = town.newcomer(), town.newcomer()
    student.follow()
    with ThreadPoolExecutor(2) as pool:
        pushed = pool.submit(student.push, "text", text=words)
        health = [requests.get(f"{town.rig.origin}/healthz", timeout=5).status_code for _ in range(5)]
        answer = text_of(pushed.result())
    assert health == [200] * 5
    assert answer
    assert len(pushed.result()["tries"]) == 1
    assert other.follow()


def test_unpaid_orders_of_a_stranger_stop_no_recharge(town: Town) -> None:
    attacker, owner = town.newcomer(), town.newcomer().bound()
    attacker.follow()
    for amount in (500, 499, 498, 497, 6):
        attacker.say("给他人充值")
        attacker.say(owner.account_no)
        attacker.say(owner.account_no)
        attacker.say("确认")
        attacker.say(str(amount))
        assert link_in(attacker.say("确认"), "/h5/pay/")
    owner.say("充值5")
    answer = owner.say("确认")
    order_no = owner.pay(link_in(answer, "/h5/pay/"))
    assert order_no.startswith("r")


def test_hostile_pushes_leave_a_bounded_trace_with_their_source(
    town: Town, credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    del caplog
    entrance = Entrance(town.rig.port, credentials, town.now)
    seen: list[tuple[str, str]] = []
    security = town.house.web.security
    write = security._write
    try:
        security._write = lambda kind, source, *_, **__: seen.append((kind, source))  # type: ignore[method-assign]
        for number in range(300):
            headers = {"X-Forwarded-For": f"198.51.100.{number % 3}"}
            assert entrance.post("/wechat?signature=x&timestamp=1&nonce=2", b"<xml/>", headers) in (400, 403)
            assert entrance.post("/wechatpay/notify", b"{}", headers) in (400, 401, 403)
    finally:
        security._write = write  # type: ignore[method-assign]
    for refused in ("push_refused", "callback_refused"):
        sources = {source for kind, source in seen if kind == refused}
        assert sources == {"198.51.100.0", "198.51.100.1", "198.51.100.2"}
    assert len(seen) <= 6 * 3


def calls(town: Town, path: str) -> int:
    exchanges = requests.get(f"{town.rig.sandbox.url}/sim/wire", timeout=10).json()["exchanges"]
    return sum(path in str(exchange) for exchange in exchanges)
