"""Accounts are opened once for each kind of database; every test gets a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.interface import BillingBackend
from models.db.engine import Database
from tests.contracts.subjects import SUBJECTS, Factory, Subject, seed
from tests.once import Once
from tests.postgres import PostgresDatabases


@pytest.fixture(scope="session")
def _seeded_file(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Path:
    path = tmp_path_factory.mktemp("seeded") / "template.db"
    shutil.copy(_sqlite_template, path)
    seed(Database(f"sqlite:///{path}"))
    return path


@pytest.fixture
def seeded_on_sqlite(tmp_path: Path, _seeded_file: Path) -> Iterator[Database]:
    path = shutil.copy(_seeded_file, tmp_path / "seeded.db")
    database = Database(f"sqlite:///{path}")
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def _seeded_name(postgres_server: PostgresDatabases, _postgres_template: str, once: Once) -> str:
    def make() -> str:
        name = postgres_server.create(template=_postgres_template)
        seed(Database(postgres_server.url(name)))
        return name

    return once.get("postgres-seeded", make)


@pytest.fixture
def seeded_on_postgresql(postgres_server: PostgresDatabases, _seeded_name: str) -> Iterator[Database]:
    name = postgres_server.create(template=_seeded_name)
    database = Database(postgres_server.url(name))
    yield database
    database.dispose()
    postgres_server.drop(name)


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    factory: Factory = request.param
    return factory(request)


@pytest.fixture
def backend(subject: Subject) -> BillingBackend:
    return subject.backend
