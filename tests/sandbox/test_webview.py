"""The in-app browser: a jar per student, the bridge in every page, redirects that stay inside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sandbox.oa_rig import Answer, OaRig, Received

HTML = (("Content-Type", "text/html; charset=utf-8"),)
PAGE = "<!doctype html><html><head data-x='1'><title>充值</title></head><body></body></html>".encode()


def hold(oa: OaRig, student: str, path: str = "/") -> str:
    """Take a phone in hand; answers where the browser is sent."""
    answer = oa.http.get(
        f"{oa.url}/sim/webview/open", params={"student": student, "url": path}, allow_redirects=False
    )
    oa.http.cookies.set("sim_student", student)
    return answer.headers["Location"]


def test_without_a_phone_there_is_no_proxy(oa: OaRig) -> None:
    assert oa.http.get(f"{oa.url}/h5/recharge").status_code == 404
    oa.http.cookies.set("sim_student", "nobody")
    assert oa.http.get(f"{oa.url}/h5/recharge").status_code == 404
    assert oa.site.received == []


def test_request_arrives_as_from_wechat_on_the_student_s_network(oa: OaRig) -> None:
    hold(oa, "xiaoming")
    sent = {"X-Forwarded-For": "1.2.3.4", "Referer": f"{oa.url}/h5/", "Origin": oa.url, "X-CSRF-Token": "t"}
    oa.http.post(f"{oa.url}/h5/pay?a=%2F&b=c%20d", data=b"amount=5", headers=sent)
    oa.sim("students/xiaoming/network", {"network": "mobile"})
    oa.http.get(f"{oa.url}/h5/pay")
    first, second = oa.site.received
    assert (first.method, first.path, first.query, first.body) == (
        "POST",
        "/h5/pay",
        {"a": "/", "b": "c d"},
        b"amount=5",
    )
    assert "MicroMessenger/8.0.50" in first.headers["User-Agent"]
    assert "Language/zh_CN" in first.headers["User-Agent"]
    assert first.headers["X-Forwarded-For"].startswith("10.70.1.")
    assert second.headers["X-Forwarded-For"].startswith("203.0.113.")
    assert first.headers["Host"] == oa.site.origin.removeprefix("http://")
    assert first.headers["Referer"] == f"{oa.site.origin}/h5/"
    assert first.headers["Origin"] == oa.site.origin
    assert first.headers["X-CSRF-Token"] == "t"
    assert "Cookie" not in first.headers


def test_pages_get_the_bridge_first_and_lose_their_frame_rules(oa: OaRig) -> None:
    policy = "default-src 'self'; frame-ancestors 'none'; script-src 'self'"
    headers = (*HTML, ("Content-Security-Policy", policy), ("X-Frame-Options", "DENY"), ("X-Kept", "1"))
    oa.site.respond = lambda _got: Answer(PAGE, 200, headers)
    hold(oa, "xiaoming")
    answer = oa.http.get(f"{oa.url}/h5/recharge")
    assert "<head data-x='1'><script src=\"/sim/bridge.js\"></script><title>充值" in answer.content.decode()
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'; script-src 'self'"
    assert "X-Frame-Options" not in answer.headers
    assert answer.headers["X-Kept"] == "1"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_other_files_pass_untouched(oa: OaRig) -> None:
    body = b"// <head> is only a word here \xff"
    oa.site.respond = lambda _got: Answer(body, 200, (("Content-Type", "text/javascript"), ("ETag", '"1"')))
    hold(oa, "xiaoming")
    answer = oa.http.get(f"{oa.url}/static/app.js")
    assert (answer.content, answer.headers["ETag"]) == (body, '"1"')
    oa.site.respond = lambda _got: Answer(b"", 304)
    assert oa.http.get(f"{oa.url}/static/app.js").status_code == 304


def test_each_student_has_cookies_of_their_own(oa: OaRig) -> None:
    def respond(got: Received) -> Answer:
        if got.path == "/login":
            return Answer(b"", 200, (("Set-Cookie", "session=of-xiaoming; Path=/; HttpOnly"),))
        return Answer(got.headers.get("Cookie", "").encode())

    oa.site.respond = respond
    hold(oa, "xiaoming")
    assert "Set-Cookie" not in oa.http.get(f"{oa.url}/login").headers
    assert oa.http.get(f"{oa.url}/h5/me").text == "session=of-xiaoming"
    hold(oa, "dawei")
    assert oa.http.get(f"{oa.url}/h5/me").text == ""
    oa.sandbox.reset()
    hold(oa, "xiaoming")
    assert oa.http.get(f"{oa.url}/h5/me").text == ""


def test_redirects_to_the_site_and_to_the_platform_become_relative(oa: OaRig) -> None:
    hold(oa, "xiaoming")
    for target, seen in {
        f"{oa.site.origin}/h5/a?b=1#c": "/h5/a?b=1#c",
        f"{oa.url}/connect/oauth2/authorize?x=1": "/connect/oauth2/authorize?x=1",
        "/h5/": "/h5/",
        "https://elsewhere.example/": "https://elsewhere.example/",
        f"{oa.site.origin}//evil.example/": "/evil.example/",
    }.items():
        redirect = Answer(b"", 302, (("Location", target),))
        oa.site.respond = lambda _got, redirect=redirect: redirect  # type: ignore[misc]
        answer = oa.http.get(f"{oa.url}/h5/go", allow_redirects=False)
        assert answer.headers["Location"] == seen


@pytest.mark.parametrize("path", ["/h5/recharge?amount=5", "{site}/h5/recharge?amount=5"])
def test_opening_a_page_sets_the_phone_and_goes_inside(oa: OaRig, path: str) -> None:
    url = path.replace("{site}", oa.site.origin)
    answer = oa.http.get(
        f"{oa.url}/sim/webview/open", params={"student": "dawei", "url": url}, allow_redirects=False
    )
    assert answer.headers["Location"] == "/h5/recharge?amount=5"
    assert answer.headers["Set-Cookie"].startswith("sim_student=dawei;")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"student": "nobody", "url": "/"}, 404),
        ({"student": "dawei", "url": "https://elsewhere.example/"}, 400),
        ({"student": "dawei", "url": "//elsewhere.example/"}, 400),
        ({"student": "dawei", "url": "javascript:alert(1)"}, 400),
    ],
)
def test_opening_anything_else_is_refused(oa: OaRig, query: dict[str, str], status: int) -> None:
    assert oa.http.get(f"{oa.url}/sim/webview/open", params=query).status_code == status


def test_a_dead_site_is_a_page_and_not_an_error(oa: OaRig) -> None:
    hold(oa, "xiaoming")
    alive = oa.sandbox.engine.site
    oa.sandbox.set_site(replace(alive, origin="http://127.0.0.1:9"))
    try:
        assert oa.http.get(f"{oa.url}/h5/").status_code == 502
    finally:
        oa.sandbox.set_site(alive)
