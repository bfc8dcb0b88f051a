from __future__ import annotations

import inspect
from typing import NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from models import errors
from models.db.engine import Database
from payments.wechatpay.errors import PayRefused
from tests.logged import lines_of
from tests.web.portal_visitor import visitor
from tests.web.world import World
from web import errors as web_errors
from web.errors import failure_of

SAMPLES: list[errors.ServiceError] = [
    errors.NotBound(), errors.NoSuchAccount(), errors.AmountInvalid("x"), errors.AmountOutOfRange("x"),
    errors.LimitReached("x"), errors.NoSuchOrder(), errors.IllegalTransition("x"), errors.OutsideCampus("x"),
    errors.LoginNeeded(), errors.PageExpired(), errors.Refused("x"), errors.Forged("x"),
    errors.Malformed("x"), errors.PackageLimitReached("x"), errors.BalanceTooLow(),
    errors.PackageNotOffered(), errors.PackageStillRunning("x"), errors.PriceChanged("x"),
    errors.SoldOut(), errors.NotForYou(), errors.CaptchaWrong(), errors.KeyClosed(),
    errors.Unknown("x"), errors.Unavailable("x"), errors.Conflict("x"), errors.Mismatch("amount", "r1"),
    PayRefused("SIGNERROR", "secret detail", "req"),
]  # fmt: skip


def test_the_table_knows_every_named_error() -> None:
    named = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ServiceError)
    }
    sampled = {type(sample) for sample in SAMPLES}
    assert named - {errors.ServiceError} <= sampled
    for sample in SAMPLES:
        failure = failure_of(sample)
        assert failure.status == sample.status
        assert failure.code != "E-OTHER", type(sample)
        assert failure.text


def failing(world: World, error: Exception) -> FlaskClient:
    """A site with one more page, which fails."""
    app: Flask = world.app

    @app.get("/fails")
    def fails() -> str:
        raise error

    return world.reader()


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_a_failure_page_gives_code_and_contact(world: World, error: errors.ServiceError) -> None:
    answer = failing(world, error).get("/fails")
    assert answer.status_code == error.status
    if not isinstance(error, errors.OutsideCampus):
        assert failure_of(error).code in answer.text
    assert "0773-2290739" in answer.text
    assert "466522933" in answer.text
    assert "secret detail" not in answer.text


def test_scripts_get_the_same_as_json(world: World) -> None:
    answer = failing(world, errors.LimitReached("慢一点")).get(
        "/fails", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 429
    assert answer.json == {"code": "E-LIMIT", "message": "慢一点"}


def test_a_bug_is_a_plain_apology_with_a_code(world: World) -> None:
    answer = failing(world, ZeroDivisionError("secret detail")).get("/fails")
    assert answer.status_code == 500
    assert "抱歉" in answer.text
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/h5/orders", "/h5/recharge", "/h5/notices", "/self/notices"])
def test_without_a_database_a_page_asks_for_patience_and_the_log_has_the_cause(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    visit = visitor(world) if path.startswith("/self/") else world.reader()
    lines = lines_of(monkeypatch, web_errors)

    def gone(*_: object, **__: object) -> NoReturn:
        raise OperationalError("SELECT 1", {}, ConnectionRefusedError("nobody listens"))

    for way in ("transaction", "reading", "look"):
        monkeypatch.setattr(Database, way, gone)
    answer = visit.get(path)
    assert (answer.status_code, "E-BUSY" in answer.text) == (503, True)
    (line,) = lines
    assert "nobody listens" in str(line["exc_info"])


def test_an_unknown_address_is_a_friendly_page(reader: FlaskClient) -> None:
    answer = reader.get("/nowhere")
    assert answer.status_code == 404
    assert "没有这个页面" in answer.text


def test_what_came_in_the_address_is_never_markup(reader: FlaskClient) -> None:
    assert "<script>" not in reader.get("/h5/recharge?account=%3Cscript%3E&amount=%22%3E%3Cscript%3E").text
    assert "<script>" not in reader.get("/h5/orders/%3Cscript%3E").text
