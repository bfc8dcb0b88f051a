"""The campus identity: tickets that work once, for one service, for half a minute."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from defusedxml import ElementTree

from tests.sandbox.oa_rig import OaRig

NS = "{http://www.yale.edu/tp/cas}"


def service_of(oa: OaRig) -> str:
    return f"{oa.site.origin}/bind/return?state=a%2Fb&next=/h5/"


def log_in(oa: OaRig, cookies: dict[str, str] | None = None, **changed: str) -> requests.Response:
    form = {"username": "2400101001", "password": "demo", "service": service_of(oa), **changed}
    return oa.http.post(f"{oa.url}/cas/login", data=form, cookies=cookies, allow_redirects=False)


def ticket_of(answer: requests.Response) -> str:
    return parse_qs(urlsplit(answer.headers["Location"]).query)["ticket"][0]


def validate(oa: OaRig, version: str = "p3/", **query: str) -> tuple[str, str]:
    """("ok", user) or ("failed", code)."""
    answer = oa.http.get(f"{oa.url}/cas/{version}serviceValidate", params=query)
    root = ElementTree.fromstring(answer.content)
    failure = root.find(f"{NS}authenticationFailure")
    if failure is not None:
        return "failed", str(failure.get("code"))
    return "ok", str(root.findtext(f"{NS}authenticationSuccess/{NS}user"))


def test_a_ticket_names_the_person_once(oa: OaRig) -> None:
    answer = log_in(oa)
    assert answer.headers["Location"].startswith(service_of(oa) + "&ticket=ST-")
    asked = {"service": service_of(oa), "ticket": ticket_of(answer)}
    assert validate(oa, **asked) == ("ok", "2400101001")
    assert validate(oa, **asked) == ("failed", "INVALID_TICKET")


def test_version_three_carries_attributes_and_version_two_does_not(oa: OaRig) -> None:
    for version, carries in (("p3/", True), ("", False)):
        query = {"service": service_of(oa), "ticket": ticket_of(log_in(oa))}
        body = oa.http.get(f"{oa.url}/cas/{version}serviceValidate", params=query).text
        assert ("李小明" in body) is carries
        assert ("<cas:studentNumber>" in body) is carries


def test_a_ticket_dies_after_thirty_seconds(oa: OaRig) -> None:
    ticket = ticket_of(log_in(oa))
    oa.pass_time(31)
    assert validate(oa, service=service_of(oa), ticket=ticket) == ("failed", "INVALID_TICKET")


def test_a_ticket_is_for_the_exact_service_and_spent_by_a_wrong_one(oa: OaRig) -> None:
    ticket = ticket_of(log_in(oa))
    assert validate(oa, service=service_of(oa) + "&", ticket=ticket) == ("failed", "INVALID_SERVICE")
    assert validate(oa, service=service_of(oa), ticket=ticket) == ("failed", "INVALID_TICKET")


@pytest.mark.parametrize("query", [{}, {"service": "x"}, {"ticket": "ST-1"}])
def test_missing_parameters_are_an_invalid_request(oa: OaRig, query: dict[str, str]) -> None:
    assert validate(oa, **query) == ("failed", "INVALID_REQUEST")


def test_wrong_passwords_and_foreign_services_get_no_ticket(oa: OaRig) -> None:
    refused = log_in(oa, password="guess")
    assert (refused.status_code, "用户名或密码错误" in refused.text) == (401, True)
    assert log_in(oa, service="http://evil.example/").status_code == 403
    near = oa.site.origin + ".evil.example/"
    assert oa.http.get(f"{oa.url}/cas/login", params={"service": near}).status_code == 403


def test_an_open_session_needs_no_password_until_logout_or_renew(oa: OaRig) -> None:
    log_in(oa)
    url, query = f"{oa.url}/cas/login", {"service": service_of(oa)}
    again = oa.http.get(url, params=query, allow_redirects=False)
    assert again.status_code == 302
    assert validate(oa, service=service_of(oa), ticket=ticket_of(again), renew="true") == (
        "failed",
        "INVALID_TICKET",
    )
    assert oa.http.get(url, params={**query, "renew": "true"}).status_code == 200
    oa.http.get(f"{oa.url}/cas/logout")
    assert oa.http.get(url, params=query, allow_redirects=False).status_code == 200


def test_gateway_never_asks_for_a_password(oa: OaRig) -> None:
    query = {"service": service_of(oa), "gateway": "true"}
    answer = oa.http.get(f"{oa.url}/cas/login", params=query, allow_redirects=False)
    assert answer.headers["Location"] == service_of(oa)


def test_phones_have_sessions_of_their_own_and_stay_inside(oa: OaRig) -> None:
    answer = log_in(oa, cookies={"sim_student": "xiaoming"})
    assert answer.headers["Location"].startswith("/bind/return?state=a%2Fb&next=/h5/&ticket=ST-")
    page = oa.http.get(
        f"{oa.url}/cas/login", params={"service": service_of(oa)}, cookies={"sim_student": "dawei"}
    )
    assert page.status_code == 200
    assert re.search(r'name="username" value="2300302017"', page.text)


def test_hostile_text_is_escaped_in_pages_and_answers(oa: OaRig) -> None:
    page = log_in(oa, username='"><script>alert(1)</script>', password="x")
    assert "<script>" not in page.text
    assert validate(oa, service="x", ticket="]]><cas:user>evil</cas:user>") == ("failed", "INVALID_TICKET")


def test_a_good_ticket_may_be_refused_on_purpose(oa: OaRig) -> None:
    asked = {"service": service_of(oa), "ticket": ticket_of(log_in(oa))}
    oa.fault("cas", "invalid_ticket")
    assert validate(oa, **asked) == ("failed", "INVALID_TICKET")
