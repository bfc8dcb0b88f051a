"""Logins end when they should: on the server, for every copy of the cookie."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from models.outbox import OutboxItem
from payments import binding
from tests.web.conftest import csrf_in
from tests.web.portal_visitor import CAMPUS, come_back, log_in, log_in_fresh, visitor
from tests.web.world import BASE_URL, OPENID, OWN, STRANGER, World

LOGOUT = """<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="1" Version="2.0">
<samlp:SessionIndex>{ticket}</samlp:SessionIndex></samlp:LogoutRequest>"""


def copy_of(world: World, client: FlaskClient, address: str = CAMPUS) -> FlaskClient:
    """A thief's browser with a copy of the cookie."""
    cookie = client.get_cookie("campusnet")
    assert cookie is not None
    thief = world.reader(None, address=address)
    thief.set_cookie("campusnet", cookie.value)
    return thief


def is_in(client: FlaskClient, path: str = "/self/") -> bool:
    return client.get(path).status_code == 200


def post(client: FlaskClient, path: str, page: str, **form: str) -> int:
    token = csrf_in(client.get(page).text)
    return client.post(path, data={"csrf_token": token, **form}).status_code


def test_a_copied_cookie_is_worth_nothing_after_logout(world: World) -> None:
    owner = visitor(world)
    thief = copy_of(world, owner)
    assert is_in(thief)
    assert post(owner, "/self/logout", "/self/") == 303
    assert not is_in(thief)
    assert not is_in(owner)


def test_a_copied_cookie_asks_for_no_payout_after_logout(world: World) -> None:
    owner = world.reader(None, address=CAMPUS)
    log_in_fresh(world, owner)
    thief = copy_of(world, owner)
    token = csrf_in(thief.get("/self/payout").text)
    assert post(owner, "/self/logout", "/self/") == 303
    answer = thief.post(
        "/self/payout",
        data={
            "csrf_token": token,
            "payee": "李小明",
            "bank_name": "工行",
            "bank_account": "6222020000000000009",
        },
    )
    assert answer.status_code in (302, 400, 401)
    assert "E-PAGE" in answer.text or "E-LOGIN" in answer.text


def test_a_login_has_an_end_however_much_it_is_used(world: World) -> None:
    owner = visitor(world)
    for _ in range(23):
        world.clock.pass_by(29 * 60)
        assert is_in(owner)
    for _ in range(2):
        world.clock.pass_by(29 * 60)
        owner.get("/self/")
    assert not is_in(owner)


def test_a_login_and_a_fresh_login_each_get_a_new_id(world: World) -> None:
    owner = visitor(world)
    before = copy_of(world, owner)
    log_in_fresh(world, owner)
    assert is_in(owner)
    assert not is_in(before)


def test_a_cookie_planted_before_the_login_is_not_logged_in_by_it(world: World) -> None:
    attacker = world.reader(None, address=CAMPUS)
    attacker.get("/self/login")
    victim = copy_of(world, attacker)
    log_in(world, victim)
    assert is_in(victim)
    assert not is_in(attacker)


def test_the_owner_sees_each_login_and_ends_one_or_all(world: World) -> None:
    mine, lost = visitor(world), visitor(world)
    page = mine.get("/self/logins").text
    assert (page.count("本机"), page.count('/self/logins/end"')) == (1, 2)
    other = next(
        number
        for row, number in re.findall(r'<li class="row">(.*?)name="id" value="(\d+)"', page, re.DOTALL)
        if "本机" not in row
    )
    assert post(mine, "/self/logins/end", "/self/logins", id=other) == 303
    assert (is_in(mine), is_in(lost)) == (True, False)
    another = visitor(world)
    assert post(mine, "/self/logins/end-all", "/self/logins") == 303
    assert (is_in(mine), is_in(another)) == (False, False)


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 30, "²", "1 or 1"])
def test_what_is_no_login_of_mine_ends_nothing(world: World, number: str) -> None:
    mine = visitor(world)
    assert post(mine, "/self/logins/end", "/self/logins", id=number) == 404
    assert is_in(mine)


def test_logins_of_others_cannot_be_ended(world: World) -> None:
    mine, other = visitor(world), visitor(world, "2400101002")
    number = re.search(r'name="id" value="(\d+)"', other.get("/self/logins").text)
    assert number is not None
    assert post(mine, "/self/logins/end", "/self/logins", id=number[1]) == 404
    assert is_in(other)


def test_pages_inside_wechat_can_be_logged_out(world: World) -> None:
    reader = world.reader()
    copy = copy_of(world, reader, "203.0.113.7")
    assert is_in(copy, "/h5/orders")
    assert post(reader, "/h5/logins/end-all", "/h5/logins") == 303
    assert (is_in(copy, "/h5/orders"), is_in(reader, "/h5/orders")) == (False, False)
    assert "已退出登录" in reader.get("/h5/help?loggedout=1").text


def test_unbinding_ends_the_sessions_of_that_wechat_user_elsewhere(world: World) -> None:
    world.bind()
    reader, tablet = world.reader(), world.reader()
    assert is_in(tablet, "/h5/bind")
    assert post(reader, "/h5/bind/remove", "/h5/bind") == 303
    assert is_in(reader, "/h5/bind")
    assert not is_in(tablet, "/h5/bind")


def test_cas_single_logout_ends_the_login_of_its_ticket(world: World) -> None:
    owner = visitor(world)
    cas = world.reader(None, address="198.51.100.9")
    unknown = cas.post("/self/callback?state=x", data={"logoutRequest": LOGOUT.format(ticket="ST-other")})
    assert (unknown.status_code, is_in(owner)) == (204, True)
    known = cas.post("/self/callback?state=x", data={"logoutRequest": LOGOUT.format(ticket="ST-1")})
    assert (known.status_code, is_in(owner)) == (204, False)


@pytest.mark.parametrize(
    "message", ["", "<a/>", "ST-1", LOGOUT.format(ticket=""), '<!DOCTYPE a [<!ENTITY b "ST-1">]><a>&b;</a>']
)
def test_a_damaged_logout_request_ends_nothing(world: World, message: str) -> None:
    owner = visitor(world)
    assert owner.post("/self/callback", data={"logoutRequest": message}).status_code == 400
    assert is_in(owner)


def test_without_redis_people_stay_logged_in(world: World) -> None:
    # The world of these tests has no Redis at all.
    assert world.redis_url.endswith(":9")
    owner = visitor(world)
    assert is_in(owner)


def test_a_callback_opened_in_another_browser_shows_nothing_of_its_address(world: World) -> None:
    """The victim logs in at the real identity server after the attacker's link, outside WeChat."""
    attacker = world.reader(STRANGER)
    service = parse_qs(urlsplit(attacker.get("/h5/bind/login").headers["Location"]).query)["service"][0]
    world.identity.tickets[service, "ST-victim"] = OWN
    callback = service.removeprefix(BASE_URL) + "&ticket=ST-victim"
    victim = world.app.test_client()
    victim.environ_base.update({"HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux) Firefox/140"})
    answer = victim.get(callback)
    state = parse_qs(urlsplit(service).query)["state"][0]
    assert answer.status_code == 400
    assert not [
        secret for secret in ("ST-victim", state, '<svg class="qr"', "data-copy") if secret in answer.text
    ]
    assert binding.bound_account(world.services, STRANGER) is None


def test_a_login_begun_by_one_wechat_user_binds_no_other(world: World) -> None:
    reader = world.reader(OPENID)
    service = parse_qs(urlsplit(reader.get("/h5/bind/login").headers["Location"]).query)["service"][0]
    world.identity.tickets[service, "ST-1"] = OWN
    # The browser changes hands between the two halves of the login.
    with reader.session_transaction() as session:
        other = world.reader(STRANGER)
        with other.session_transaction() as theirs:
            session["wechat"] = theirs["wechat"]
    answer = reader.get(service.removeprefix(BASE_URL) + "&ticket=ST-1")
    assert answer.status_code == 400
    assert [binding.bound_account(world.services, who) for who in (OPENID, STRANGER)] == [None, None]


def test_every_binding_stands_in_the_portal_and_can_be_ended_there(world: World) -> None:
    world.bind(openid=STRANGER)
    reader, owner = world.reader(STRANGER), visitor(world)
    page = owner.get("/self/bindings").text
    assert f"微信 …{STRANGER[-6:]}" in page
    number = re.search(r'name="id" value="(\d+)"', page)
    assert number is not None
    assert post(owner, "/self/bindings/remove", "/self/bindings", id=number[1]) == 303
    assert binding.bound_account(world.services, STRANGER) is None
    assert not is_in(reader, "/h5/bind")
    assert "解除" in owner.get("/self/bindings").text
    assert post(owner, "/self/bindings/remove", "/self/bindings?undone=1", id=number[1]) in (303, 404)


def test_a_binding_of_another_account_cannot_be_ended(world: World) -> None:
    world.bind(openid=STRANGER)
    number = re.search(r'name="id" value="(\d+)"', visitor(world).get("/self/bindings").text)
    assert number is not None
    other = visitor(world, "2400101002")
    token = csrf_in(other.get("/self/logins").text)
    assert other.post("/self/bindings/remove", data={"csrf_token": token, "id": number[1]}).status_code == 404
    assert binding.bound_account(world.services, STRANGER) == OWN


def test_the_first_binding_is_announced_to_the_owner_once(world: World) -> None:
    for _ in range(2):
        world.bind()
    with world.services.reading() as session:
        kinds = list(session.scalars(select(OutboxItem.kind)))
    assert kinds == ["owner_notice"]


def test_the_next_login_leads_on_as_before(world: World) -> None:
    owner = world.reader(None, address=CAMPUS)
    assert come_back(world, owner, "/self/login?next=/self/statement", OWN) == "/self/statement"
