"""换购时长/流量包: what one would have, a captcha, and one swap for each form."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.redis_server import RedisServer
from billing.embedded.usage import record_usage
from models.errors import Unknown
from models.package import Package, Purchase
from tests.conftest import fresh_redis_url
from tests.web.conftest import MakeWorld
from tests.web.portal_visitor import log_in, visitor
from tests.web.world import OTHER, OWN, World

GB = 10**9
FIELDS = ("csrf_token", "ticket", "captcha_mark")


@pytest.fixture
def world(make_world: MakeWorld, redis_server: RedisServer) -> World:
    return make_world(redis_url=fresh_redis_url(redis_server))


@pytest.fixture
def browser(world: World) -> FlaskClient:
    return visitor(world)


@pytest.fixture
def read_captcha(redis_server: RedisServer) -> Callable[[str], str]:
    """What a person reads in the picture."""
    store = redis.Redis.from_url(redis_server.url, decode_responses=True)
    return lambda mark: str(store.get(f"campusnet:captcha:{mark}")).partition("|")[2]


@dataclass
class Form:
    """The form of one package as a browser holds it."""

    client: FlaskClient
    path: str
    fields: dict[str, str]

    def send(self, **changes: str) -> TestResponse:
        return self.client.post(self.path, data=self.fields | changes)


def form_in(client: FlaskClient, path: str, html: str, read: Callable[[str], str]) -> Form:
    fields = {}
    for name in FIELDS:
        found = re.search(rf'name="{name}" value="([^"]+)"', html.partition("<main")[2])
        assert found is not None, name
        fields[name] = found[1]
    return Form(client, path, fields | {"captcha": read(fields["captcha_mark"])})


@pytest.fixture
def open_form(browser: FlaskClient, read_captcha: Callable[[str], str]) -> Callable[..., Form]:
    def opened(code: str = "P05", client: FlaskClient = browser) -> Form:
        path = f"/self/packages/{code}"
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return form_in(client, path, answer.text, read_captcha)

    return opened


def swaps(world: World) -> list[tuple[str, str]]:
    with world.database.reading() as session:
        rows = session.execute(select(Purchase.account_no, Purchase.package_code).order_by(Purchase.id))
        return [(row[0], row[1]) for row in rows]


def use_up(world: World, used_bytes: int) -> None:
    with world.services.transaction() as session:
        record_usage(session, OWN, used_bytes, world.clock())


def test_the_catalogue_shows_specials_first_and_the_rule(browser: FlaskClient) -> None:
    html = browser.get("/self/packages").text
    assert "一次只能换购一个流量包，必须要流量包用完之后，才能再次换购。" in html
    assert re.findall(r'id="offer-\d">([^< ]+)', html) == [
        "11月特惠", "5元不限量套餐", "10元不限量套餐", "20元不限量套餐", "30元不限量套餐",
    ]  # fmt: skip
    assert "2026-11-30 09:05 截止" in html
    # 12.34 yuan buy the first two; the others say what is missing.
    assert re.findall(r'href="/self/packages/(\w+)"', html) == ["P05", "P10"]
    assert "余额还差 ¥7.66" in html


@pytest.mark.parametrize(("kind", "times"), [("undergraduate", 1), ("staff", 0)])
def test_a_special_is_shown_to_its_audience_only(
    world: World, browser: FlaskClient, kind: str, times: int
) -> None:
    with world.services.transaction() as session:
        session.execute(update(Package).where(Package.code == "S1").values(for_kinds=[kind]))
    assert browser.get("/self/packages").text.count("11月特惠") == times
    assert "11月特惠" not in world.reader().get("/h5/help").text


def test_the_preview_says_what_one_will_have(browser: FlaskClient) -> None:
    html = " ".join(re.sub(r"<[^>]+>", " ", browser.get("/self/packages/P05").text).split())
    for words in ("¥12.34 → ¥7.34", "5.0 GB → 13.0 GB", "2026-11-23 09:05 至 2026-12-23 09:05", "¥5.00"):
        assert words in html


def test_a_swap_shows_what_is_there_now(
    world: World, browser: FlaskClient, open_form: Callable[..., Form]
) -> None:
    answer = open_form().send()
    assert answer.status_code == 303
    html = browser.get(answer.headers["Location"]).text
    for words in ("换购成功", "5元不限量套餐", "¥7.34", "剩 13.0 GB", "剩 8.0 / 8.0 GB", "全速"):
        assert words in html
    assert swaps(world) == [(OWN, "P05")]
    assert "7.34" in browser.get("/self/").text


def test_the_same_form_sent_again_swaps_once_and_shows_the_same_result(
    world: World, open_form: Callable[..., Form]
) -> None:
    form = open_form()
    places = {form.send().headers["Location"] for _ in range(3)}
    world.clock.pass_by(3600)
    log_in(world, form.client)
    form.fields["csrf_token"] = open_menu_token(form.client)
    places.add(form.send().headers["Location"])
    assert len(places) == 1
    assert swaps(world) == [(OWN, "P05")]


def open_menu_token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/self/").text)
    assert found is not None
    return found[1]


def test_a_double_click_swaps_once(
    world: World, browser: FlaskClient, open_form: Callable[..., Form]
) -> None:
    form = open_form()
    cookie = browser.get_cookie("campusnet", domain="localhost")
    assert cookie is not None
    answers: list[TestResponse] = []
    meet = threading.Barrier(4)

    def click() -> None:
        client = world.reader(None, address="10.70.1.23")
        client.set_cookie("campusnet", cookie.value, domain="localhost")
        meet.wait()
        answers.append(client.post(form.path, data=form.fields))

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status_code, answer.headers.get("Location", "")) for answer in answers} == {
        (303, answers[0].headers["Location"])
    }
    assert swaps(world) == [(OWN, "P05")]


def test_a_wrong_captcha_swaps_nothing_and_asks_again(
    world: World, browser: FlaskClient, open_form: Callable[..., Form], read_captcha: Callable[[str], str]
) -> None:
    form = open_form()
    answer = form.send(captcha="0000")
    assert (answer.status_code, "E-CAPTCHA" in answer.text) == (400, True)
    assert swaps(world) == []
    # The old captcha is gone; the new one goes with the same swap.
    assert form.send().status_code == 400
    again = form_in(browser, form.path, answer.text, read_captcha)
    assert again.fields["ticket"] == form.fields["ticket"]
    assert again.send().status_code == 303


def test_captchas_cannot_be_guessed_through(world: World, open_form: Callable[..., Form]) -> None:
    form = open_form()
    codes = [form.send(captcha="0000").status_code for _ in range(21)]
    assert codes == [400] * 20 + [429]
    assert form.send().status_code == 429
    assert swaps(world) == []


def test_the_next_swap_waits_until_the_package_is_used_up(
    world: World, browser: FlaskClient, open_form: Callable[..., Form]
) -> None:
    early = open_form("P05")
    open_form().send()
    refused = browser.get("/self/packages/P05")
    assert refused.status_code == 409
    assert "当前流量包还剩 8.0 GB" in refused.text
    # A form that was open before is refused as well.
    assert early.send().status_code == 409
    assert "用完当前流量包后可换购" in browser.get("/self/packages").text
    use_up(world, 13 * GB)
    assert open_form().send().status_code == 303
    assert swaps(world) == [(OWN, "P05"), (OWN, "P05")]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [("P30", 409, "还差 17.66 元"), ("NONE", 404, "不在售"), ("x" * 200, 404, "不在售")],
)
def test_what_cannot_be_swapped_says_why(browser: FlaskClient, code: str, status: int, words: str) -> None:
    answer = browser.get(f"/self/packages/{code}")
    assert (answer.status_code, words in answer.text, "没有扣款" in answer.text) == (status, True, True)


def test_a_price_that_changed_is_agreed_to_anew(world: World, open_form: Callable[..., Form]) -> None:
    form = open_form()
    with world.services.transaction() as session:
        session.execute(update(Package).where(Package.code == "P05").values(price_fen=600))
    answer = form.send()
    assert answer.status_code == 409
    assert "套餐价格已变为 6.00 元" in answer.text
    assert "提交，换购 ¥6.00" in answer.text
    assert swaps(world) == []


def test_a_form_of_somebody_else_or_of_another_package_is_refused(
    world: World, open_form: Callable[..., Form]
) -> None:
    form, other = open_form(), open_form(client=visitor(world, OTHER))
    for fields in (
        other.fields,
        form.fields | {"ticket": form.fields["ticket"][:-2] + "xx"},
        form.fields | {"ticket": ""},
        open_form("P10").fields | {"csrf_token": form.fields["csrf_token"]},
    ):
        assert (
            form.client.post(form.path, data=fields | {"csrf_token": form.fields["csrf_token"]}).status_code
            == 400
        )
    assert swaps(world) == []


def test_a_form_is_too_old_after_half_an_hour(world: World, open_form: Callable[..., Form]) -> None:
    form = open_form()
    for _ in range(2):
        world.clock.pass_by(20 * 60)
        form.client.get("/self/")
    answer = form.send()
    assert (answer.status_code, "E-PAGE" in answer.text) == (400, True)
    assert swaps(world) == []


def test_an_unknown_result_is_asked_for_and_never_paid_twice(
    world: World, browser: FlaskClient, open_form: Callable[..., Form]
) -> None:
    form = open_form()
    billing = world.services.billing
    with pytest.MonkeyPatch.context() as patch:

        def lost(*_: object, **__: object) -> None:
            raise Unknown("the answer was lost")

        patch.setattr(billing, "exchange", lost)
        place = form.send().headers["Location"]
        missing = browser.get(place)
    assert (missing.status_code, "还没有这次换购的结果" in missing.text) == (404, True)
    assert form.send().headers["Location"] == place
    assert "换购成功" in browser.get(place).text
    assert swaps(world) == [(OWN, "P05")]


def test_without_redis_nothing_can_be_sent_and_the_page_says_so(make_world: MakeWorld) -> None:
    world = make_world()
    answer = visitor(world).get("/self/packages/P05")
    assert (answer.status_code, "验证码暂时无法使用" in answer.text) == (503, True)
    assert 'name="captcha"' not in answer.text
    assert "¥12.34" in answer.text


def test_redis_that_goes_away_before_sending_is_a_friendly_refusal(
    world: World, open_form: Callable[..., Form], make_world: MakeWorld
) -> None:
    form = open_form()
    away = make_world().services.captchas
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.services.captchas, "_gate", away._gate)
        answer = form.send()
    assert (answer.status_code, "没有扣款" in answer.text) == (503, True)
    assert swaps(world) == []


def test_the_captcha_is_seen_and_heard_by_its_login_only(
    world: World, browser: FlaskClient, open_form: Callable[..., Form]
) -> None:
    mark = open_form().fields["captcha_mark"]
    picture, speech = browser.get(f"/self/captcha/{mark}.png"), browser.get(f"/self/captcha/{mark}.wav")
    assert (picture.mimetype, picture.data[:4]) == ("image/png", b"\x89PNG")
    assert (speech.mimetype, speech.data[:4]) == ("audio/wav", b"RIFF")
    assert picture.headers["Cache-Control"] == "no-store"
    # Another login, also of the same account.
    assert visitor(world).get(f"/self/captcha/{mark}.png").status_code == 404
    assert browser.get(f"/self/captcha/{'0' * 24}.png").status_code == 404


def test_a_special_that_ended_meanwhile_is_refused(world: World, open_form: Callable[..., Form]) -> None:
    world.services.billing.credit(OWN, 5000, key="k")
    form = open_form("S1")
    with world.services.transaction() as session:
        ended = world.clock() - timedelta(seconds=1)
        session.execute(update(Package).where(Package.code == "S1").values(sale_until=ended))
    answer = form.send()
    assert (answer.status_code, "不在售" in answer.text) == (404, True)
    assert swaps(world) == []
