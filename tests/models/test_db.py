"""What the database layer promises to everybody above it."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.db.engine import Database


def test_an_error_does_not_say_what_a_statement_was_about(any_database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, any_database.transaction() as session:
        session.execute(text("INSERT INTO nothing VALUES (:who)"), {"who": "oSomebody000000"})
    assert "INSERT INTO nothing" in str(caught.value)
    assert "oSomebody" not in str(caught.value)
