from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.errors import Unavailable
from models.order import orders_of
from models.package import Package
from tests.web.conftest import csrf_in
from tests.web.world import NOW, OPENID, OTHER, OWN, World


def submit(client: FlaskClient, **fields: str) -> Any:
    token = csrf_in(client.get("/h5/recharge").text)
    return client.post("/h5/recharge", data={"csrf_token": token, **fields})


def amounts(world: World) -> list[tuple[str, int]]:
    with world.services.reading() as session:
        return [(order.account_no, order.amount_fen) for order in orders_of(session, OPENID)]


def test_a_bound_reader_recharges_the_own_account_with_two_taps(world: World, reader: FlaskClient) -> None:
    world.bind()
    answer = submit(reader, amount="20")
    assert answer.status_code == 303
    assert amounts(world) == [(OWN, 2000)]
    page = reader.get(answer.headers["Location"]).text
    assert OWN in page
    assert "*小明" in page
    assert "李" not in page
    assert "充错无法退回" in page
    assert "微信支付" in page
    assert "¥20.00" in page


def test_the_same_wish_finds_the_same_open_order(world: World, reader: FlaskClient) -> None:
    world.bind()
    first, second = submit(reader, amount="20"), submit(reader, amount="20")
    assert first.headers["Location"] == second.headers["Location"]
    assert len(amounts(world)) == 1


def test_somebody_elses_account_is_typed_twice_and_its_name_confirmed(
    world: World, reader: FlaskClient
) -> None:
    twice = {"account": OTHER, "account_again": OTHER, "amount": "10"}
    asked = submit(reader, **twice)
    assert asked.status_code == 422
    assert "E-NAME" in asked.text
    assert "*小红" in asked.text
    assert "欧阳" not in asked.text
    assert amounts(world) == []
    assert submit(reader, **twice, confirmed=OTHER).status_code == 303
    assert amounts(world) == [(OTHER, 1000)]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"amount": "10"}, "E-NOACCT", "account"),
        ({"account": OTHER, "account_again": OWN, "amount": "10"}, "E-TWICE", "account-again"),
        ({"account": OTHER, "account_again": OTHER, "confirmed": OWN, "amount": "10"}, "E-NAME", "confirmed"),
        ({"account": "no such!", "account_again": "no such!", "amount": "10"}, "E-ACCT", "account"),
        ({"account": OTHER, "account_again": OTHER, "confirmed": OTHER, "amount": ""}, "E-AMT", "amount"),
        (
            {
                "account": OTHER,
                "account_again": OTHER,
                "confirmed": OTHER,
                "amount": "other",
                "amount_other": "0.5",
            },
            "E-RANGE",
            "amount",
        ),
        (
            {
                "account": OTHER,
                "account_again": OTHER,
                "confirmed": OTHER,
                "amount": "other",
                "amount_other": "x",
            },
            "E-AMT",
            "amount",
        ),
        (
            {"account": "9999", "account_again": "9999", "confirmed": "9999", "amount": "10"},
            "E-ACCT",
            "account",
        ),
    ],
)
def test_a_mistake_comes_back_with_the_form_and_leads_to_its_field(
    world: World, reader: FlaskClient, fields: dict[str, str], code: str, field: str
) -> None:
    answer = submit(reader, **fields)
    assert 400 <= answer.status_code < 500
    assert code in answer.text
    assert f'href="#{field}"' in answer.text
    assert f'id="{field}"' in answer.text
    assert amounts(world) == []


def test_a_typed_amount_may_be_any_that_the_rules_allow(world: World, reader: FlaskClient) -> None:
    world.bind()
    assert submit(reader, amount="other", amount_other="37元").status_code == 303
    assert amounts(world) == [(OWN, 3700)]


def test_the_grid_has_the_presets_and_the_cheapest_package(reader: FlaskClient) -> None:
    html = reader.get("/h5/recharge").text
    for yuan in ("5", "10", "20", "50", "100", "200", "other"):
        assert f'name="amount" value="{yuan}"' in html
    assert "可换 60 GB" in html


def test_every_amount_of_the_grid_can_be_paid_whatever_a_special_costs(
    world: World, reader: FlaskClient
) -> None:
    with world.services.transaction() as session:
        session.add(
            Package(
                code="S9", name="开学特惠", price_fen=390, quota_bytes=9 * 10**9, validity_months=1,
                special=True, sale_from=NOW - timedelta(days=1), sale_until=NOW + timedelta(days=1),
            )
        )  # fmt: skip
    world.bind()
    page = reader.get("/h5/recharge").text
    offered = re.findall(r'name="amount" value="([0-9.]+)"', page)
    for yuan in offered:
        assert submit(reader, amount=yuan).status_code == 303, yuan
    # The smallest that buys it, as the grid says.
    assert offered[0] == "4"
    assert "可换 9 GB" in page


@pytest.mark.parametrize("field", ["account", "account-again"])
def test_an_account_with_letters_can_be_typed_on_a_phone(reader: FlaskClient, field: str) -> None:
    # Staff have some; iOS shows ten digits and nothing else for a numeric field.
    found = re.search(f'<input[^>]* id="{field}"[^>]*>', reader.get("/h5/recharge").text)
    assert found is not None
    assert "inputmode" not in found[0]
    assert 'autocapitalize="off"' in found[0]


def test_a_link_fills_account_and_amount_in_but_never_confirms_the_name(reader: FlaskClient) -> None:
    html = reader.get(f"/h5/recharge?account={OTHER}&amount=50&confirmed={OTHER}").text
    assert f'value="{OTHER}"' in html
    assert 'value="50" checked' in html
    assert "*小红" in html
    assert f'name="confirmed" value="{OTHER}" checked' not in html


def test_accounts_paid_before_are_offered_but_not_the_own_one(world: World, reader: FlaskClient) -> None:
    world.bind()
    world.order(account_no=OWN)
    world.order(account_no=OTHER)
    html = reader.get("/h5/recharge").text
    assert f"/h5/recharge?account={OTHER}" in html
    assert f"/h5/recharge?account={OWN}" not in html


def test_the_page_warns_before_paying_when_billing_is_away(
    world: World, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bind()

    def away(*_: object) -> None:
        raise Unavailable("billing is away")

    monkeypatch.setattr(world.services.billing, "balance", away)
    monkeypatch.setattr(world.services.billing, "catalogue", away)
    answer = reader.get("/h5/recharge")
    assert answer.status_code == 200
    assert "计费系统正在维护" in answer.text


def test_a_name_is_told_masked_and_twenty_times_only(reader: FlaskClient) -> None:
    for _ in range(20):
        answer = reader.get(f"/h5/name?account={OTHER}", headers={"Accept": "application/json"})
        assert answer.json == {"account": OTHER, "name": "*小红"}
    blocked = reader.get(f"/h5/name?account={OTHER}", headers={"Accept": "application/json"})
    assert blocked.status_code == 429


@pytest.mark.parametrize("account", ["", "4040404", "%27%20or%201", "2" * 33])
def test_an_account_that_is_none_has_no_name(reader: FlaskClient, account: str) -> None:
    answer = reader.get(f"/h5/name?account={account}", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["code"] == "E-ACCT"


def test_guessing_names_through_the_form_is_limited_too(reader: FlaskClient) -> None:
    for _ in range(20):
        reader.get(f"/h5/recharge?account={OTHER}")
    assert "*小红" not in reader.get(f"/h5/recharge?account={OTHER}").text
