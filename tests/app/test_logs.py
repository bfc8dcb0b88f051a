"""What reaches the log, and what does not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from app import logs
from models.db.engine import Database
from models.person import Person
from tests.builders import NOON

OPENID = "oPayerOfThisOrder_0123456789"


@contextmanager
def as_in_production() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(json=True)
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_the_values_of_a_refused_row_are_not_logged(
    any_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        with any_database.transaction() as session:
            for _ in range(2):
                session.add(Person(openid=OPENID, created_at=NOON))
                session.flush()
    except IntegrityError:
        with as_in_production():
            structlog.get_logger().exception("page_failed", token="token-of-somebody")
    text = capsys.readouterr().err
    assert "page_failed" in text
    assert "IntegrityError" in text
    assert OPENID not in text
    assert "token-of-somebody" not in text


@pytest.mark.parametrize("word", ["DETAIL", "描述", "DÉTAIL"])
def test_nor_in_another_language(capsys: pytest.CaptureFixture[str], word: str) -> None:
    error = RuntimeError(f"duplicate key\n{word}:  Key (openid)=({OPENID}) already exists.")
    with as_in_production():
        structlog.get_logger().error("page_failed", exc_info=error)
    text = capsys.readouterr().err
    assert "duplicate key" in text
    assert OPENID not in text


def test_a_request_without_a_token_is_left_to_the_security_log(capsys: pytest.CaptureFixture[str]) -> None:
    with as_in_production():
        for _ in range(200):
            logging.getLogger("flask_wtf.csrf").info("The CSRF token is missing.")
        logging.getLogger("flask_wtf.csrf").error("broken")
    assert capsys.readouterr().err.count("\n") == 1
