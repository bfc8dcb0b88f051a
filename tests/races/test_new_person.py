"""Somebody new does two things at once: follows and binds, or sends one form twice."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import person
from models.clock import utc_now
from models.db.engine import Database
from models.person import Binding, Person

OPENID = "oNewPerson000000000000000001"


def test_two_first_steps_of_one_person_are_both_done(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    find_person = person.find_person
    failed: list[Exception] = []

    def find_and_tell(session: Session, openid: str) -> Person | None:
        found = find_person(session, openid)
        if threading.current_thread() is second:
            # It has seen nobody: now the first one may commit.
            looked.set()
        return found

    def bind() -> None:
        try:
            with postgres_database.transaction() as session:
                person.bind(session, OPENID, "2400101001", utc_now())
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            failed.append(error)

    second = threading.Thread(target=bind)
    monkeypatch.setattr(person, "find_person", find_and_tell)
    with postgres_database.transaction() as session:
        person.follow(session, OPENID, "gate-3", utc_now())
        session.flush()
        second.start()
        assert looked.wait(timeout=20)
    second.join(timeout=20)
    assert failed == []
    with postgres_database.reading() as session:
        assert session.scalars(select(Person.scene)).all() == ["gate-3"]
        assert session.scalar(select(func.count()).select_from(Binding)) == 1
