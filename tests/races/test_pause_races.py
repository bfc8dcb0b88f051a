"""A failure is counted also at the moment in which a success ends the pause."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from models.db.engine import Database
from models.outbox import LanePause, Remote
from payments import pauses
from tests.builders import NOON
from tests.races.meeting import Meeting

FAILURE = pauses.Failure("credit:1", "down")


@pytest.mark.postgres
def test_a_failure_while_a_success_deletes_the_row_is_counted(postgres_database: Database) -> None:
    def fail() -> None:
        with postgres_database.transaction() as session:
            pauses.note_failure(session, Remote.BILLING, FAILURE, now=NOON)

    fail()
    meeting = Meeting(postgres_database)
    other = threading.Thread(target=fail)
    with postgres_database.transaction() as session:
        pauses.note_success(session, Remote.BILLING, now=NOON)
        session.flush()
        other.start()
        meeting.here()
    other.join()
    with postgres_database.reading() as session:
        assert session.scalars(select(LanePause.failures)).all() == [1]
