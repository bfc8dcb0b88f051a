from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.config import Config
from billing.embedded import seed
from models.clock import utc_now
from models.db.engine import Database
from sandbox.credentials import Credentials
from tests.postgres import PostgresDatabases, find_programs
from tests.rig import make_config, toml

PASSWORD = "hunter2-of-the-database"


@dataclass
class Installation:
    """A configuration on a database with an account, and how to point it at an empty one."""

    folder: Path
    config: Config
    path: Path
    empty_url: str

    def with_url(self, url: str) -> Config:
        """The same settings for another database."""
        section = self.config.database.model_copy(update={"url": url})
        return self.config.model_copy(update={"database": section})

    def on_empty(self) -> Path:
        """The configuration file, now for the empty database."""
        return toml(self.with_url(self.empty_url), self.folder)


def programs() -> Path:
    """Where pg_dump lies: in the wheel that brings the server."""
    found = find_programs()
    assert found is not None
    return found / "pg_dump"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, credentials: Credentials
) -> Iterator[Installation]:
    """Both databases, one after the other."""
    if request.param == "sqlite":
        database: Database = request.getfixturevalue("sqlite_database")
        url, empty_url = database.url, f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        database = request.getfixturevalue("postgres_database")
        server: PostgresDatabases = request.getfixturevalue("postgres_server")
        empty_url = server.url(server.create())
        url = _with_password(database.url)
        empty_url = _with_password(empty_url)
    with database.transaction() as session:
        rows = [seed.DemoAccount("2400101001", "李小明", balance_fen=1234)]
        seed.seed_demo_accounts(session, rows, utc_now())
    config = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:8000",
        platform="http://127.0.0.1:9",
        database_url=url,
        redis_url="redis://:redis-password@127.0.0.1:9/0",
        backup={"dir": tmp_path / "backups", "keep": 2, "pg_dump": str(programs())},
    )
    yield Installation(tmp_path, config, toml(config, tmp_path), empty_url)
    if request.param == "postgresql":
        server.drop(str(make_url(empty_url).database))


def _with_password(url: str) -> str:
    # The server trusts everybody on its socket: the password is there to be looked for.
    return make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)
