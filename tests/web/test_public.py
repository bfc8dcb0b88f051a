from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from models.errors import Unavailable
from tests.web.conftest import csrf_in
from tests.web.world import World


def test_the_process_is_alive(reader: FlaskClient) -> None:
    assert reader.get("/healthz").json == {"status": "ok"}


def test_ready_means_database_and_billing(reader: FlaskClient) -> None:
    answer = reader.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "checks": {"database": "ok", "billing": "ok"}}


def test_a_part_that_is_away_shows_within_ten_seconds_and_is_not_asked_more_often(
    world: World, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away() -> None:
        asked.append(1)
        raise Unavailable("billing is away")

    assert reader.get("/readyz").status_code == 200
    monkeypatch.setattr(world.services.billing, "catalogue", away)
    assert reader.get("/readyz").status_code == 200
    world.clock.pass_by(10)
    for _ in range(5):
        assert reader.get("/readyz").status_code == 503
    assert len(asked) == 1
    page = reader.get("/status")
    assert "部分服务异常" in page.text
    assert page.headers["Cache-Control"] == "public, max-age=10"
    assert "Set-Cookie" not in page.headers


def test_notices_are_shown_from_their_time_on(world: World, reader: FlaskClient) -> None:
    old = world.notice("网络维护", "第一行\n<b>第二行</b>")
    coming = world.notice("明天的公告", "还没到", hours_ago=-1)
    index = reader.get("/h5/notices").text
    assert "网络维护" in index
    assert "明天的公告" not in index
    assert reader.get(f"/h5/notices/{coming}").status_code == 404
    assert "&lt;b&gt;第二行" in reader.get(f"/h5/notices/{old}").text


def test_help_opens_when_billing_is_away(
    world: World, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "20元不限量套餐" in reader.get("/h5/help").text

    def away() -> None:
        raise Unavailable("billing is away")

    monkeypatch.setattr(world.services.billing, "catalogue", away)
    answer = reader.get("/h5/help")
    assert answer.status_code == 200
    assert "466522933" in answer.text
    assert "原桂林信息科技学院办公楼" in answer.text


@pytest.mark.parametrize(
    ("look", "body"),
    [
        ("dark", '<body data-weui-theme="dark">'),
        ("light", '<body data-weui-theme="light">'),
        ("care", '<body data-weui-mode="care">'),
        ("care-dark", '<body data-weui-theme="dark" data-weui-mode="care">'),
        ("auto", "<body>"),
        ('"><script>', "<body>"),
    ],
)
def test_the_chosen_look_is_kept_and_only_known_ones_are(reader: FlaskClient, look: str, body: str) -> None:
    token = csrf_in(reader.get("/h5/look?next=/h5/help").text)
    answer = reader.post("/h5/look", data={"csrf_token": token, "look": look, "next": "/h5/help"})
    assert answer.headers["Location"] == "/h5/help"
    assert body in reader.get("/h5/help").text


def test_a_look_does_not_lead_away(reader: FlaskClient) -> None:
    token = csrf_in(reader.get("/h5/look").text)
    answer = reader.post(
        "/h5/look", data={"csrf_token": token, "look": "dark", "next": "https://evil.test/h5/"}
    )
    assert answer.headers["Location"] == "/h5/recharge"


def test_the_help_names_the_counter_of_the_configuration(world: World, reader: FlaskClient) -> None:
    contact = replace(world.services.site.contact, office="图书馆 2 楼", office_hours="周一至周五 8:00-17:00")
    world.app.extensions["campusnet"] = replace(
        world.services, site=replace(world.services.site, contact=contact)
    )
    page = reader.get("/h5/help").text
    assert "110" not in page
    assert re.search("周一至周五 8:00-17:00到图书馆 2 楼办理", page)
