"""Every route with who may see it; a new one has to be put into the table before this passes."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from tests.web.portal_visitor import CAMPUS, ELSEWHERE, visitor
from tests.web.world import OTHER, OWN, STRANGER, World

EVERYBODY = "everybody"
# Whoever signs with a secret shared with us.
SIGNED = "signed"
# Comes back from somebody's login page with a state that this browser began.
STATE = "state"
# The identity server, which knows the ticket that a session came from.
TICKET = "ticket"
# Whoever is known by openid, about themselves.
OPENID = "openid"
# The openid that ordered.
PAYER = "payer"
# The campus network.
CAMPUS_ONLY = "campus"
# The campus network, and the account that has logged in.
OWNER = "owner"

TABLE = {
    "static": EVERYBODY,
    "hooks.verify": SIGNED, "hooks.push": SIGNED, "hooks.pay_notify": SIGNED, "hooks.refund_notify": SIGNED,
    "hooks.accounting": SIGNED,
    "public.healthz": EVERYBODY, "public.readyz": EVERYBODY, "public.status": EVERYBODY,
    "public.go": CAMPUS_ONLY,
    "h5_help.page": EVERYBODY, "h5_look.page": EVERYBODY, "h5_look.choose": EVERYBODY,
    "h5_notices.index": EVERYBODY, "h5_notices.notice": EVERYBODY,
    "h5_oauth.callback": STATE,
    "h5_recharge.form": OPENID, "h5_recharge.create": OPENID, "h5_name.name": OPENID,
    "h5_bind.page": OPENID, "h5_bind.login": OPENID, "h5_bind.callback": STATE, "h5_bind.remove": OPENID,
    "h5_usage.usage": OPENID, "h5_alerts.index": OPENID, "h5_alerts.save": OPENID,
    "h5_orders.history": OPENID,
    "h5_orders.detail": PAYER, "h5_orders.state": PAYER, "h5_orders.check": PAYER,
    "h5_pay.review": PAYER, "h5_pay.params": PAYER, "h5_pay.cancel": PAYER,
    "portal.login.login": CAMPUS_ONLY, "portal.login.callback": CAMPUS_ONLY,
    "portal.login.logout": CAMPUS_ONLY, "portal.login.single_logout": TICKET,
    "portal.logins.page": OWNER, "portal.logins.end": OWNER, "portal.logins.end_all": OWNER,
    "portal.bindings.page": OWNER, "portal.bindings.remove": OWNER,
    "h5_logins.page": OPENID, "h5_logins.end": OPENID, "h5_logins.end_all": OPENID,
    "portal.overview.overview": OWNER, "portal.service.page": OWNER,
    "portal.recharge.page": OWNER, "portal.recharge.state": OWNER,
    "portal.packages.catalogue": OWNER, "portal.packages.preview": OWNER, "portal.packages.swap": OWNER,
    "portal.packages.done": OWNER, "portal.captcha.picture": OWNER, "portal.captcha.speech": OWNER,
    "portal.log.page": OWNER, "portal.usage.by_day": OWNER, "portal.usage.by_session": OWNER,
    "portal.device.page": OWNER, "portal.device.kick": OWNER, "portal.traffic.page": OWNER,
    "portal.statement.page": OWNER, "portal.payout.page": OWNER, "portal.payout.ask": OWNER,
    "portal.payout.withdraw": OWNER, "portal.notices.index": OWNER, "portal.notices.notice": OWNER,
}  # fmt: skip
# There is no such page where the back end of these tests cannot do it.
UNABLE = {"portal.device.kick"}


class Door(NamedTuple):
    """One route, ready to be asked for."""

    endpoint: str
    method: str
    path: str


def rules(world: World) -> list[Rule]:
    return sorted(world.app.url_map.iter_rules(), key=lambda rule: rule.endpoint)


def doors(world: World, *audiences: str, order_no: str = "r20261123abcdefghijk") -> list[Door]:
    found = []
    for rule in rules(world):
        if TABLE[rule.endpoint] in audiences and rule.endpoint not in UNABLE:
            method = "POST" if "POST" in (rule.methods or ()) else "GET"
            path = (
                rule.rule.replace("<order_no>", order_no).replace("<page>", "self").replace("<code>", "P05")
            )
            path = path.replace("<path:filename>", "css/site.css")
            path = re.sub(r"<int[^>]*>", "1", re.sub(r"<(key|mark|payout_no)>", "a" * 24, path))
            assert "<" not in path, path
            found.append(Door(rule.endpoint, method, path))
    assert found
    return found


def token_of(client: FlaskClient) -> str:
    """A form token that every browser can have."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/h5/look").text)
    assert found is not None
    return found[1]


def knock(client: FlaskClient, door: Door) -> tuple[int, str, str]:
    """Status, text and where it leads; posts carry the token of this browser."""
    data = {"csrf_token": token_of(client)} if door.method == "POST" else None
    answer = client.open(door.path, method=door.method, data=data)
    return answer.status_code, answer.text, answer.headers.get("Location", "")


def test_every_route_is_in_the_table(world: World) -> None:
    assert {rule.endpoint for rule in rules(world)} == TABLE.keys()


def test_whoever_is_not_known_is_sent_to_wechat_or_told_so(world: World) -> None:
    client = world.reader(None)
    for door in doors(world, OPENID, PAYER):
        status, _, leads = knock(client, door)
        asked = leads.startswith("https://open.weixin.test/") if door.method == "GET" else status == 401
        assert asked, door


def test_an_order_is_for_its_payer_only(world: World) -> None:
    order = world.order(account_no=OTHER)
    for client in (world.reader(STRANGER), visitor(world, OTHER)):
        for door in doors(world, PAYER, order_no=order.order_no):
            status, text, _ = knock(client, door)
            assert status in {302, 401, 404}, door
            assert "小红" not in text, door
            assert OTHER not in text, door


def test_a_stranger_sees_themselves_only(world: World) -> None:
    world.bind()
    world.order(account_no=OWN)
    client = world.reader(STRANGER)
    for door in doors(world, OPENID):
        status, text, _ = knock(client, Door(door.endpoint, door.method, f"{door.path}?account={OWN}"))
        assert status < 500, door
        assert "12.34" not in text, door
        assert "李小明" not in text, door


def test_the_portal_is_for_the_campus_and_its_pages_for_whoever_has_logged_in(world: World) -> None:
    outside, inside = world.reader(address=ELSEWHERE), world.reader(address=CAMPUS)
    for door in doors(world, CAMPUS_ONLY, OWNER):
        assert knock(outside, door)[0] == 403, door
    for door in doors(world, OWNER):
        status, _, leads = knock(inside, door)
        asked = leads.startswith("/self/login?next=/self/") if door.method == "GET" else status == 401
        assert asked, door


@pytest.mark.parametrize("known", [True, False], ids=["logged in", "a stranger"])
def test_no_form_is_taken_without_its_token(world: World, known: bool) -> None:  # noqa: FBT001 - by name
    client = visitor(world) if known else world.reader(address=CAMPUS)
    posts = [door for door in doors(world, *set(TABLE.values()) - {SIGNED, TICKET}) if door.method == "POST"]
    assert len(posts) > 8
    for door in posts:
        answer = client.post(door.path)
        assert (answer.status_code, "E-PAGE" in answer.text) == (400, True), door
