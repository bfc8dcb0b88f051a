"""No balance, usage or name of an account reaches anyone who has not proved to own it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.redis_server import RedisServer
from billing.embedded.accounting import Accounting
from tests.billing.network import Nas
from tests.conftest import fresh_redis_url
from tests.web.conftest import MakeWorld
from tests.web.portal_visitor import CAMPUS, ELSEWHERE, log_in, visitor
from tests.web.world import OPENID, OTHER, OWN, STRANGER, World

GB = 10**9
SWAP_KEY = "portal-swap-of-the-owner"
# Pages that lead to a login or come back from one: they know no account.
LOGIN = {"/self/login", "/self/callback"}


@dataclass(frozen=True)
class Owner:
    """An account with a bit of everything, and whatever of it must not be seen."""

    world: World
    captcha_mark: str
    order_no: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """Number, name, balances, traffic, place on line, order."""
        return (
            OWN,
            "小明",
            "27.34",
            "32.34",
            "8.0 / 8.0",
            "BRAS-OF-OWNER",
            "10.9.8.7",
            self.order_no,
        )

    def told(self, answer: TestResponse) -> list[str]:
        """What of the account an answer gives away, in its text or where it leads."""
        text = answer.get_data(as_text=True) + answer.headers.get("Location", "")
        return [secret for secret in self.secrets if secret in text]


@pytest.fixture
def owner(make_world: MakeWorld, redis_server: RedisServer) -> Owner:
    world = make_world(redis_url=fresh_redis_url(redis_server))
    world.bind()
    order = world.order(amount_fen=2000, account_no=OWN)
    world.pay_order(order)
    world.credit_order(order)
    nas = Nas(world.clock(), account=OWN, session="s-1", nas="BRAS-OF-OWNER")
    Accounting(world.database, world.clock).take([nas.start(address="10.9.8.7")])
    mark_page = visitor(world).get("/self/packages/P05").text
    found = re.search(r'name="captcha_mark" value="([^"]+)"', mark_page)
    assert found is not None
    world.services.billing.exchange(OWN, "P05", key=SWAP_KEY, price_fen=500)
    return Owner(world, found[1], order.order_no)


def paths_of(owner: Owner) -> list[str]:
    """Every page of the portal that can be opened: a new one is here by itself."""
    values = {"code": "P05", "key": SWAP_KEY, "mark": owner.captcha_mark, "notice_id": "1"}
    rules = [
        rule
        for rule in owner.world.app.url_map.iter_rules()
        if rule.rule.startswith("/self/") and "GET" in (rule.methods or ())
    ]
    paths = [re.sub(r"<(?:int[^>]*:)?(\w+)>", lambda name: values[name[1]], rule.rule) for rule in rules]
    assert len(paths) > 12
    assert "<" not in "".join(paths)
    return paths


def test_the_owner_sees_it_all(owner: Owner) -> None:
    """The control: what the other tests look for is there to be found."""
    client = visitor(owner.world)
    seen = {secret for path in paths_of(owner) for secret in owner.told(client.get(path))}
    assert seen == set(owner.secrets)


def test_without_a_login_every_page_leads_to_it(owner: Owner) -> None:
    client = owner.world.reader(None, address=CAMPUS)
    for path in set(paths_of(owner)) - LOGIN:
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"] == f"/self/login?next={path}"
        assert owner.told(answer) == [], path


def test_the_wechat_login_of_the_owner_is_no_login_here(owner: Owner) -> None:
    client = owner.world.reader(OPENID, address=CAMPUS)
    for path in set(paths_of(owner)) - LOGIN:
        assert (client.get(path).status_code, owner.told(client.get(path))) == (302, []), path


def test_another_login_sees_nothing_of_it(owner: Owner) -> None:
    client = visitor(owner.world, OTHER)
    for path in paths_of(owner):
        assert owner.told(client.get(path)) == [], path
    assert client.get(f"/self/swaps/{SWAP_KEY}").status_code == 404
    assert client.get(f"/self/captcha/{owner.captcha_mark}.png").status_code == 404


def test_the_next_login_in_the_same_browser_sees_only_its_own(owner: Owner) -> None:
    client = visitor(owner.world)
    log_out(client)
    log_in(owner.world, client, account_no=OTHER)
    for path in paths_of(owner):
        assert owner.told(client.get(path)) == [], path


def test_off_the_campus_a_login_opens_nothing(owner: Owner) -> None:
    client = visitor(owner.world)
    for path in paths_of(owner):
        answer = client.get(path, environ_overrides={"REMOTE_ADDR": ELSEWHERE})
        assert answer.status_code == 403, path
        assert "请先连接 GUET-WiFi" in answer.text
        assert owner.told(answer) == [], path


def test_nothing_is_changed_without_login_token_or_campus(owner: Owner) -> None:
    before = len(owner.world.services.billing.exchange_log(OWN))
    everybody = (owner.world.reader(None, address=CAMPUS), visitor(owner.world), visitor(owner.world, OTHER))
    for client in everybody:
        assert client.post("/self/packages/P05", data={}).status_code == 400
    off = visitor(owner.world)
    assert off.post("/self/packages/P05", environ_overrides={"REMOTE_ADDR": ELSEWHERE}).status_code in (
        400,
        403,
    )
    assert len(owner.world.services.billing.exchange_log(OWN)) == before


def test_pages_with_an_account_are_kept_by_nobody(owner: Owner) -> None:
    client = visitor(owner.world)
    for path in paths_of(owner):
        assert client.get(path).headers["Cache-Control"] == "no-store", path


def test_a_typed_account_shows_a_masked_name_and_no_more(owner: Owner) -> None:
    stranger = owner.world.reader(STRANGER)
    page = stranger.get(f"/h5/recharge?account={OWN}")
    assert "*小明" in page.text
    assert "李小明" not in page.text
    assert set(owner.told(page)) == {OWN, "小明"}
    named = {"Accept": "application/json"}
    answers = [stranger.get(f"/h5/name?account={OWN}", headers=named).status_code for _ in range(21)]
    assert answers[-1] == 429
    # The page that a link fills in asks as well, and is limited as well.
    assert "*小明" not in stranger.get(f"/h5/recharge?account={OWN}").text


def log_out(client: FlaskClient) -> None:
    """By the button."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/self/").text)
    assert token is not None
    client.post("/self/logout", data={"csrf_token": token[1]})
