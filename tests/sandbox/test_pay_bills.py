"""Bills of the simulated platform, asked for by a merchant that knows the document only."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.faults import Fault
from sandbox.pay.bill_files import DETAIL, TOTALS
from sandbox.pay.orders import BEIJING
from tests.sandbox.pay_rig import PayRig

NUMBER = "r20260310abcdefghijk01"
OTHER = "r20260310abcdefghijk02"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def today(rig: PayRig) -> date:
    return datetime.fromtimestamp(rig.engine.stamp(), BEIJING).date()


def to_ten_next_morning(rig: PayRig) -> None:
    now = datetime.fromtimestamp(rig.engine.stamp(), BEIJING)
    ready = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), BEIJING) + timedelta(
        hours=10, seconds=1
    )
    rig.engine.scheduler.advance((ready - now).total_seconds())


def paid(rig: PayRig, *numbers: str) -> date:
    """Pay orders today, and move on to the next morning. Returns: the day of the bill."""
    on = today(rig)
    for number in numbers:
        rig.prepay(number)
        rig.sim(f"orders/{number}/pay")
    to_ten_next_morning(rig)
    return on


def apply(rig: PayRig, on: date, kind: str = "tradebill", tar: str = "&tar_type=GZIP") -> Any:
    which = "bill_type=ALL" if kind == "tradebill" else "account_type=BASIC"
    return rig.call("GET", f"/v3/bill/{kind}?bill_date={on}&{which}{tar}")


def fetch(rig: PayRig, url: str) -> Any:
    parts = urlsplit(url)
    return rig.call("GET", f"{parts.path}?{parts.query}")


def lines(rig: PayRig, on: date, kind: str = "tradebill") -> list[str]:
    promised = apply(rig, on, kind)
    assert rig.verify(promised.headers, promised.content)
    content = gzip.decompress(fetch(rig, promised.json()["download_url"]).content)
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == promised.json()["hash_value"]
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.endswith(b"\r\n")
    return content.decode("utf-8-sig").split("\r\n")[:-1]


def test_a_day_of_payments_and_refunds_has_all_columns_and_its_totals(rig: PayRig) -> None:
    on = today(rig)
    rig.prepay(NUMBER)
    rig.sim(f"orders/{NUMBER}/pay")
    body = {"out_trade_no": NUMBER, "out_refund_no": "f1", "amount": _amount(200, 500)}
    assert rig.call("POST", "/v3/refund/domestic/refunds", body).status_code == 200
    paid(rig, OTHER)
    header, *rows, totals_header, totals = lines(rig, on)
    assert (header, totals_header) == (DETAIL, TOTALS)
    assert [row.count(",`") for row in rows] == [26] * 3
    assert totals == "`3.0,`10.00,`2.00,`0.00,`0.00,`10.00,`2.00"
    states = [row.split(",`")[9] for row in rows]
    assert sorted(states) == ["REFUND", "SUCCESS", "SUCCESS"]


def _amount(fen: int, total: int) -> dict[str, Any]:
    return {"refund": fen, "total": total, "currency": "CNY"}


def test_a_bill_is_ready_at_ten_and_not_before(rig: PayRig) -> None:
    on = paid(rig, NUMBER)
    assert apply(rig, on).status_code == 200
    rig.prepay(OTHER)
    rig.sim(f"orders/{OTHER}/pay")
    assert apply(rig, today(rig)).json()["code"] == "INVALID_REQUEST"
    now = datetime.fromtimestamp(rig.engine.stamp(), BEIJING)
    nine = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), BEIJING) + timedelta(hours=9)
    rig.engine.scheduler.advance((nine - now).total_seconds())
    answer = apply(rig, now.date())
    assert (answer.status_code, answer.json()["code"]) == (400, "STATEMENT_CREATING")
    rig.engine.scheduler.advance(3601)
    assert apply(rig, now.date()).status_code == 200


def test_a_day_without_payments_has_no_bill(rig: PayRig) -> None:
    on = paid(rig)
    answer = apply(rig, on)
    assert (answer.status_code, answer.json()["code"]) == (400, "NO_STATEMENT_EXIST")


def test_the_file_is_unsigned_and_its_address_lives_thirty_seconds(rig: PayRig) -> None:
    url = apply(rig, paid(rig, NUMBER)).json()["download_url"]
    first = fetch(rig, url)
    assert first.status_code == 200
    assert "Wechatpay-Signature" not in first.headers
    rig.engine.scheduler.advance(29)
    assert fetch(rig, url).status_code == 200
    rig.engine.scheduler.advance(2)
    assert fetch(rig, url).status_code == 403


def test_the_file_is_given_to_the_merchant_only(rig: PayRig) -> None:
    parts = urlsplit(apply(rig, paid(rig, NUMBER)).json()["download_url"])
    answer = rig.call("GET", f"{parts.path}?{parts.query}", signature="AAAA")
    assert answer.status_code == 401


def test_a_plain_file_comes_when_gzip_is_not_asked_for(rig: PayRig) -> None:
    promised = apply(rig, paid(rig, NUMBER), tar="").json()
    content = fetch(rig, promised["download_url"]).content
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == promised["hash_value"]


def test_the_fund_flow_of_the_day_adds_up(rig: PayRig) -> None:
    rows = lines(rig, paid(rig, NUMBER, OTHER), "fundflowbill")
    assert rows[-1] == "`2.0,`2.0,`10.00,`0.0,`0.00"
    assert [row.split(",`")[7] for row in rows[1:3]] == ["5.00", "10.00"]


def refunded(rig: PayRig, number: str, fen: int) -> None:
    body = {"out_trade_no": number, "out_refund_no": f"f{number}", "amount": _amount(fen, 500)}
    assert rig.call("POST", "/v3/refund/domestic/refunds", body).status_code == 200


def test_the_account_goes_on_from_day_to_day_and_a_closed_refund_took_nothing(rig: PayRig) -> None:
    rig.prepay(NUMBER)
    rig.sim(f"orders/{NUMBER}/pay")
    refunded(rig, NUMBER, 200)
    rig.sim(f"refunds/f{NUMBER}/settle", {"status": "CLOSED"})
    first = paid(rig, OTHER)
    second = today(rig)
    refunded(rig, OTHER, 100)
    rig.sim(f"refunds/f{OTHER}/settle", {"status": "ABNORMAL"})
    to_ten_next_morning(rig)
    assert lines(rig, first, "fundflowbill")[-1] == "`2.0,`2.0,`10.00,`0.0,`0.00"
    row, _, totals = lines(rig, second, "fundflowbill")[1:]
    assert row.split(",`")[5:8] == ["支出", "1.00", "9.00"]
    assert totals == "`1.0,`0.0,`0.00,`1.0,`1.00"


@pytest.mark.parametrize(
    "query",
    ["bill_date=2026-13-01&bill_type=ALL", "bill_date=&bill_type=ALL", "bill_date=2026-01-01&bill_type=X"],
)
def test_a_question_that_breaks_the_rules_is_refused(rig: PayRig, query: str) -> None:
    assert rig.call("GET", f"/v3/bill/tradebill?{query}").status_code == 400


@pytest.mark.parametrize(
    ("fault", "rows", "first_numbers"),
    [
        ("bill_missing_row", 1, {OTHER}),
        ("bill_duplicate_row", 3, {NUMBER, OTHER}),
        ("bill_extra_row", 3, {NUMBER, OTHER, f"{NUMBER[:-4]}zz01"}),
        ("bill_foreign_order", 3, {NUMBER, OTHER, "MEALCARD00000001"}),
        ("bill_wrong_amount", 2, {NUMBER, OTHER}),
        ("bill_other_appid", 2, {NUMBER, OTHER}),
    ],
)
def test_a_spoiled_bill_is_spoiled_once_and_still_adds_up(
    rig: PayRig, fault: str, rows: int, first_numbers: set[str]
) -> None:
    on = paid(rig, NUMBER, OTHER)
    good = lines(rig, on)
    rig.engine.faults.add(Fault(fault, "pay.bill"))
    bad = lines(rig, on)
    assert {row.split(",`")[6] for row in bad[1:-2]} == first_numbers
    assert len(bad) == rows + 3
    assert bad[-1].startswith(f"`{rows}.0,")
    assert bad != good
    assert lines(rig, on) == good


@pytest.mark.parametrize(
    ("fault", "code"), [("bill_not_ready", "STATEMENT_CREATING"), ("bill_none", "NO_STATEMENT_EXIST")]
)
def test_a_bill_may_be_late_or_denied_by_order(rig: PayRig, fault: str, code: str) -> None:
    on = paid(rig, NUMBER)
    rig.engine.faults.add(Fault(fault, "pay.bill"))
    assert apply(rig, on).json()["code"] == code
    assert apply(rig, on).status_code == 200


def test_a_bad_hash_does_not_fit_the_file(rig: PayRig) -> None:
    on = paid(rig, NUMBER)
    rig.engine.faults.add(Fault("bill_bad_hash", "pay.bill"))
    promised = apply(rig, on).json()
    content = gzip.decompress(fetch(rig, promised["download_url"]).content)
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() != promised["hash_value"]
