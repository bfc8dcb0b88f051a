from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from payments.alerts import Choice, choice_of
from tests.web.conftest import csrf_in
from tests.web.world import OPENID, World


def post(reader: FlaskClient, **fields: str) -> int:
    token = csrf_in(reader.get("/h5/alerts").text)
    return reader.post("/h5/alerts", data={"csrf_token": token, **fields}).status_code


def choice(world: World) -> Choice:
    with world.services.reading() as session:
        return choice_of(session, OPENID)


def test_both_settings_are_shown_and_saved(world: World, reader: FlaskClient) -> None:
    assert 'value="5"' in reader.get("/h5/alerts").text
    assert post(reader, wanted="1", low_balance_yuan="30") == 303
    assert choice(world) == Choice(wanted=True, low_balance_fen=3000)
    assert post(reader, low_balance_yuan="0") == 303
    assert choice(world) == Choice(wanted=False, low_balance_fen=0)
    assert "checked" not in reader.get("/h5/alerts?saved=1").text


@pytest.mark.parametrize("threshold", ["", "-1", "5.5", "1000", "٣", "x"])
def test_a_threshold_that_is_none_changes_nothing(world: World, reader: FlaskClient, threshold: str) -> None:
    assert post(reader, wanted="1", low_balance_yuan=threshold) == 400
    assert choice(world) == Choice()
