"""The self-service system: on the campus network behind the unified identity, explained outside."""

from __future__ import annotations

from app.phone import Page, link_in
from tests.journeys.town import Student, Town

PASSWORD_FIELD = 'name="password"'


def log_in(student: Student, page: Page) -> Page:
    """Fill in the form of the unified identity, to which `page` has been led."""
    assert "/cas/login" in page.url
    return student.submit(page, page.form(), username=student.account_no, password=student.password)


def test_on_campus_the_portal_shows_money_traffic_and_the_catalogue(town: Town) -> None:
    student = town.newcomer(daily_gb=(5,))
    page = log_in(student, student.open("/self/"))
    assert page.status == 200
    for part in (student.account_no, "12.34", "25.0 GB"):
        assert part in page.text
    assert PASSWORD_FIELD not in page.text
    packages = student.open("/self/packages").text
    for part in ("5元不限量套餐", "120.0 GB 高速流量", "一次只能换购一个"):
        assert part in packages


def test_the_login_leads_to_the_page_that_was_asked_for(town: Town) -> None:
    student = town.newcomer()
    page = log_in(student, student.open("/self/recharge?package=P20"))
    assert page.url.endswith("/self/recharge?package=P20")
    assert "充值并换购" in page.text


def test_a_wrong_password_leads_nowhere(town: Town) -> None:
    student = town.newcomer()
    login = student.open("/self/")
    refused = student.submit(login, login.form(), username=student.account_no, password="wrong")
    assert PASSWORD_FIELD in refused.text
    assert "12.34" not in refused.text
    assert "/cas/login" in student.open("/self/").url


def test_everybody_sees_the_account_of_their_own_login(town: Town) -> None:
    first, second = town.newcomer(), town.newcomer(daily_gb=(31,))
    log_in(first, first.open("/self/"))
    page = log_in(second, second.open("/self/"))
    assert second.account_no in page.text
    assert first.account_no not in page.text
    assert "限速" in page.text
    assert first.account_no in first.open("/self/").text


def test_outside_the_campus_every_way_in_explains_how_to_connect(town: Town) -> None:
    student = town.newcomer()
    log_in(student, student.open("/self/"))
    student.network("mobile")
    for path in ("/self/", "/self/login", "/go/self", "/go/packages", "/go/log", "/self/statement"):
        page = student.open(path)
        assert page.status == 403
        assert "GUET-WiFi" in page.text
        assert "12.34" not in page.text
        assert 'href="/h5/recharge"' in page.text
    student.network("campus")
    assert "12.34" in student.open("/self/").text


def test_from_the_chat_to_the_packages_in_one_tap_and_a_login(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    page = log_in(student, student.open(link_in(student.say("换购"), "/go/packages")))
    assert 'id="packages"' in page.text


def test_logging_out_ends_both_logins(town: Town) -> None:
    student = town.newcomer()
    page = log_in(student, student.open("/self/"))
    student.submit(page, page.form("/self/logout"))
    assert "/cas/login" in student.open("/self/").url


def test_a_portal_login_ends_after_half_an_hour_without_use(town: Town) -> None:
    student = town.newcomer()
    log_in(student, student.open("/self/"))
    town.rig.sandbox.cas.reset()
    town.move(minutes=29)
    assert student.account_no in student.open("/self/").text
    town.move(minutes=31)
    assert "/cas/login" in student.open("/self/").url


def test_money_paid_on_the_phone_is_seen_in_the_portal(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    order_no = student.pay(link_in(student.say("确认"), "/h5/pay/"))
    student.wait_for("充值到账", order_no)
    assert "17.34" in student.open("/self/").text
