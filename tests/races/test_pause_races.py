"""A failure is counted also at the moment in which a success ends the pause."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.outbox import LanePause, Remote
from payments import pauses
from tests.builders import NOON
from tests.races.meeting import Meeting


@pytest.mark.postgres
def test_a_success_waits_for_a_failure_that_is_being_counted(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, found = Meeting(postgres_database), Session.get_one

    def succeed() -> None:
        with postgres_database.transaction() as session:
            pauses.note_success(session, Remote.BILLING, now=NOON)
        meeting.here()

    other = threading.Thread(target=succeed)

    def after_the_success(session: Session, *args: Any, **more: Any) -> Any:
        other.start()
        meeting.here()
        return found(session, *args, **more)

    def fail(key: str) -> int:
        with postgres_database.transaction() as session:
            return pauses.note_failure(
                session, Remote.BILLING, pauses.Failure(key, "down"), now=NOON
            ).failures

    fail("credit:1")
    monkeypatch.setattr(Session, "get_one", after_the_success)
    assert fail("credit:2") == 2
    other.join()
    with postgres_database.reading() as session:
        assert session.scalars(select(LanePause)).all() == []
