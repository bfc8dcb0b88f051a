"""Web authorisation: the page's refusals, codes that work once, what tokens may ask."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.sandbox.oa_rig import OaRig


def authorize(oa: OaRig, student: str | None = "xiaoming", **changed: str) -> requests.Response:
    query = {
        "appid": oa.credentials.app_id,
        "redirect_uri": f"{oa.site.origin}/h5/login?next=/h5/recharge",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "s-1_&#=",
        **changed,
    }
    cookies = {"sim_student": student} if student else {}
    return oa.http.get(
        f"{oa.url}/connect/oauth2/authorize", params=query, cookies=cookies, allow_redirects=False
    )


def code_for(oa: OaRig, **changed: str) -> str:
    location = authorize(oa, **changed).headers["Location"]
    return parse_qs(urlsplit(location).query)["code"][0]


def exchange(oa: OaRig, code: str, **changed: str) -> dict[str, object]:
    own = {"appid": oa.credentials.app_id, "secret": oa.credentials.app_secret}
    query = {**own, "code": code, "grant_type": "authorization_code", **changed}
    answer: dict[str, object] = oa.http.get(f"{oa.url}/sns/oauth2/access_token", params=query).json()
    return answer


def test_the_phone_is_sent_back_inside_its_browser_with_code_and_state(oa: OaRig) -> None:
    answer = authorize(oa)
    assert answer.status_code == 302
    parts = urlsplit(answer.headers["Location"])
    assert (parts.netloc, parts.path) == ("", "/h5/login")
    assert parts.query.startswith("next=/h5/recharge&code=")
    assert parse_qs(parts.query)["state"] == ["s-1_&#="]


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"appid": ""}, 10012),
        ({"appid": "wx1"}, 10013),
        ({"redirect_uri": ""}, 10011),
        ({"redirect_uri": "http://evil.example/h5"}, 10003),
        ({"response_type": "token"}, 10007),
        ({"scope": ""}, 10010),
        ({"scope": "snsapi_all"}, 10005),
        ({"state": "x" * 129}, 10014),
    ],
)
def test_wrong_requests_show_the_platform_s_page(oa: OaRig, changed: dict[str, str], number: int) -> None:
    answer = authorize(oa, **changed)
    assert answer.status_code == 400
    assert str(number) in answer.text


def test_outside_the_phone_the_developer_picks_a_person(oa: OaRig) -> None:
    chooser = authorize(oa, student=None)
    assert chooser.status_code == 200
    assert "李小明" in chooser.text
    picked = authorize(oa, student=None, sim_pick="dawei")
    assert picked.headers["Location"].startswith(oa.site.origin)
    assert "sim_student" not in picked.headers.get("Set-Cookie", "")


def test_a_code_works_once_and_for_five_minutes(oa: OaRig) -> None:
    code = code_for(oa)
    answer = exchange(oa, code)
    assert (answer["openid"], answer["scope"]) == (oa.xiaoming, "snsapi_base")
    assert "is_snapshotuser" not in answer
    assert exchange(oa, code)["errcode"] == 40163
    assert exchange(oa, "made-up")["errcode"] == 40029
    assert exchange(oa, "")["errcode"] == 41008
    late = code_for(oa)
    oa.pass_time(301)
    assert exchange(oa, late)["errcode"] == 40029


def test_exchange_wants_the_right_secret(oa: OaRig) -> None:
    code = code_for(oa)
    assert exchange(oa, code, secret="x")["errcode"] == 40125
    assert exchange(oa, code, appid="wx1")["errcode"] == 40013
    assert "openid" in exchange(oa, code)


def test_userinfo_needs_its_scope_and_the_person_s_consent(oa: OaRig) -> None:
    base = exchange(oa, code_for(oa))
    query = {"access_token": str(base["access_token"]), "openid": oa.xiaoming}
    assert oa.http.get(f"{oa.url}/sns/userinfo", params=query).json()["errcode"] == 48001
    assert oa.http.get(f"{oa.url}/sns/auth", params=query).json()["errcode"] == 0
    assert "允许" in authorize(oa, scope="snsapi_userinfo").text
    full = exchange(oa, code_for(oa, scope="snsapi_userinfo", sim_consent="1"))
    query["access_token"] = str(full["access_token"])
    assert oa.http.get(f"{oa.url}/sns/userinfo", params=query).json()["nickname"] == "李小明"
    query["openid"] = "o" + "x" * 27
    assert oa.http.get(f"{oa.url}/sns/auth", params=query).json()["errcode"] == 40003


def test_refresh_gives_a_new_token_for_thirty_days(oa: OaRig) -> None:
    first = exchange(oa, code_for(oa))
    query = {
        "appid": oa.credentials.app_id,
        "grant_type": "refresh_token",
        "refresh_token": str(first["refresh_token"]),
    }
    url = f"{oa.url}/sns/oauth2/refresh_token"
    assert oa.http.get(url, params=query).json()["access_token"] != first["access_token"]
    oa.pass_time(31 * 86_400)
    assert oa.http.get(url, params=query).json()["errcode"] == 42002
    assert oa.http.get(url, params={**query, "refresh_token": "?"}).json()["errcode"] == 40030


def test_a_snapshot_user_is_marked(oa: OaRig) -> None:
    oa.fault("oauth", "snapshot_user")
    assert exchange(oa, code_for(oa))["is_snapshotuser"] == 1


def test_jsapi_ticket_stays_the_same_for_its_life(oa: OaRig) -> None:
    path = "/cgi-bin/ticket/getticket"
    first = oa.api(path, type="jsapi")
    assert first["errcode"] == 0
    assert oa.api(path, type="jsapi")["ticket"] == first["ticket"]
    oa.pass_time(7201)
    assert oa.api(path, type="jsapi")["ticket"] != first["ticket"]
    assert oa.code(path, type="bank") == 40097
