"""Tokens: two lines, overlap, expiry, and the codes for everything wrong."""

from __future__ import annotations

import pytest

from sandbox.oa.api import REFUSALS
from tests.sandbox.oa_rig import OaRig

MENU = "/cgi-bin/getcallbackip"


def status(oa: OaRig, token: str) -> int:
    return int(oa.api(MENU, token=token).get("errcode", 0))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "password"}, 40002),
        ({"appid": ""}, 41002),
        ({"appid": "wx0000000000000000"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "0" * 32}, 40125),
    ],
)
def test_wrong_credentials_have_their_codes(oa: OaRig, changed: dict[str, str], code: int) -> None:
    for answer in (oa.ask_token(**changed), oa.ask_stable(**changed)):
        assert answer["errcode"] == code
        assert " rid: " in answer["errmsg"]


def test_old_token_lives_five_minutes_beside_the_new_one(oa: OaRig) -> None:
    old, new = oa.token(), oa.token()
    assert old != new
    assert (status(oa, old), status(oa, new)) == (0, 0)
    oa.sim("clock/advance", {"seconds": 301})
    assert (status(oa, old), status(oa, new)) == (40001, 0)


def test_token_expires_after_two_hours_with_its_own_code(oa: OaRig) -> None:
    answer = oa.ask_token()
    assert answer["expires_in"] == 7200
    oa.sim("clock/advance", {"seconds": 7201})
    assert status(oa, answer["access_token"]) == 42001


def test_missing_and_unknown_tokens(oa: OaRig) -> None:
    assert oa.http.get(oa.url + MENU).json()["errcode"] == 41001
    answer = oa.api(MENU, token="made-up")
    assert answer["errcode"] == 40001
    assert answer["errmsg"].startswith("invalid credential, access_token is invalid or not latest")


def test_stable_token_repeats_itself_until_five_minutes_before_its_end(oa: OaRig) -> None:
    first = oa.ask_stable()["access_token"]
    oa.token()
    assert oa.ask_stable()["access_token"] == first
    oa.sim("clock/advance", {"seconds": 6800})
    answer = oa.ask_stable()
    assert answer["access_token"] == first
    assert answer["expires_in"] <= 400
    oa.sim("clock/advance", {"seconds": 150})
    second = oa.ask_stable()["access_token"]
    assert second != first
    assert (status(oa, first), status(oa, second)) == (0, 0)


def test_forced_refresh_replaces_at_once_but_not_twice_in_thirty_seconds(oa: OaRig) -> None:
    first = oa.ask_stable()["access_token"]
    second = oa.ask_stable(force_refresh=True)["access_token"]
    assert (status(oa, first), status(oa, second)) == (40001, 0)
    assert oa.ask_stable(force_refresh=True)["errcode"] == 45011
    for _ in range(19):
        oa.sim("clock/advance", {"seconds": 31})
        assert "access_token" in oa.ask_stable(force_refresh=True)
    oa.sim("clock/advance", {"seconds": 31})
    assert oa.ask_stable(force_refresh=True)["errcode"] == 45009


def test_invalidate_kills_every_token_without_overlap(oa: OaRig) -> None:
    plain, stable = oa.token(), oa.ask_stable()["access_token"]
    oa.sim("oa/token/invalidate")
    assert (status(oa, plain), status(oa, stable)) == (40001, 40001)
    assert oa.ask_stable()["access_token"] != stable


def test_faults_of_the_api_do_what_they_say(oa: OaRig) -> None:
    oa.fault("ip", "busy")
    assert oa.code(MENU) == -1
    oa.fault("ip", "invalid_token")
    assert oa.code(MENU) == 40001
    oa.fault("ip", "error_500")
    assert oa.http.get(oa.url + MENU, params={"access_token": oa.token()}).status_code == 500
    assert oa.code(MENU) == 0


@pytest.mark.parametrize(("name", "code"), sorted(REFUSALS.items()))
def test_each_refusal_on_purpose_has_its_code_and_does_nothing(oa: OaRig, name: str, code: int) -> None:
    oa.fault("tags", name)
    body = {"tag": {"name": "老用户"}}
    assert oa.code("/cgi-bin/tags/create", body) == code
    assert oa.code("/cgi-bin/tags/create", body) == 0


def test_an_answer_may_be_a_page_though_it_was_done(oa: OaRig) -> None:
    oa.fault("tags", "not_json")
    query = {"access_token": oa.token()}
    body = {"tag": {"name": "老用户"}}
    answer = oa.http.post(f"{oa.url}/cgi-bin/tags/create", params=query, json=body)
    assert answer.text.startswith("<html>")
    assert [tag["name"] for tag in oa.api("/cgi-bin/tags/get")["tags"]][-1] == "老用户"


def test_daily_limit_and_clear_quota(oa: OaRig) -> None:
    oa.sandbox.oa.counters.daily_limits["/cgi-bin/user/get"] = 2
    assert [oa.code("/cgi-bin/user/get") for _ in range(3)] == [0, 0, 45009]
    quota = oa.api("/cgi-bin/openapi/quota/get", {"cgi_path": "/cgi-bin/user/get"})["quota"]
    assert quota == {"daily_limit": 2, "used": 2, "remain": 0}
    assert oa.code("/cgi-bin/openapi/quota/get", {"cgi_path": "/nowhere"}) == 76021
    for _ in range(10):
        assert oa.code("/cgi-bin/clear_quota", {"appid": oa.credentials.app_id}) == 0
    assert oa.code("/cgi-bin/user/get") == 0
    assert oa.code("/cgi-bin/clear_quota", {"appid": oa.credentials.app_id}) == 48006


def test_verbs_bodies_and_paths_are_checked(oa: OaRig) -> None:
    token = {"access_token": oa.token()}
    create = f"{oa.url}/cgi-bin/menu/create"
    assert oa.http.get(create, params=token).json()["errcode"] == 43002
    assert oa.http.post(oa.url + MENU, params=token).json()["errcode"] == 43001
    assert oa.http.post(create, params=token).json()["errcode"] == 44002
    assert oa.http.post(create, params=token, data=b"{not json").json()["errcode"] == 47001
    assert oa.http.get(f"{oa.url}/cgi-bin/nothing").json()["errcode"] == 40066
