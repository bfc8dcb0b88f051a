"""PostgreSQL: `pg_dump` in custom format under one snapshot, `pg_restore` in one transaction.

The password goes through the environment: the command line of a process is open to every user.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, make_url, text

from app.backup.archive import BackupFailed, new_file
from models.db.engine import Database

DUMP = "database.dump"
ERROR_MAX = 300
# Options of the address, and how the programs of PostgreSQL take them.
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
}
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Programs:
    """`pg_dump` as configured, and `pg_restore` beside it; `environment` says where the database is."""

    pg_dump: str
    url: str

    @property
    def pg_restore(self) -> str:
        """The path of `pg_restore`: in the same folder."""
        return str(Path(self.pg_dump).with_name("pg_restore"))

    def environment(self) -> dict[str, str]:
        """Return the environment with which the programs find the database, password included."""
        url = make_url(self.url)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        found = {"host": url.host, "port": str(url.port) if url.port else None}
        found |= {name: str(value) for name, value in url.query.items() if isinstance(value, str)}
        kept |= {VARIABLES[name]: value for name, value in found.items() if name in VARIABLES and value}
        named = {"PGDATABASE": url.database, "PGUSER": url.username, "PGPASSWORD": url.password}
        return {**kept, **{name: value for name, value in named.items() if value}, "LC_ALL": "C.UTF-8"}

    def run(self, arguments: Sequence[str], *, output: IO[bytes] | int = subprocess.DEVNULL) -> None:
        """Run a program. Raises: BackupFailed - with its last line of error."""
        program = Path(arguments[0]).name
        try:
            done = subprocess.run(  # noqa: S603 - the configured program, arguments of our own
                arguments,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            raise BackupFailed(f"{arguments[0]} 无法运行：{error.strerror}（[backup] pg_dump）") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"{done.returncode}"]
            raise BackupFailed(f"{program} 失败：{lines[-1][:ERROR_MAX]}")

    def version(self, program: str) -> str:
        """Return what `--version` says. Raises: BackupFailed - the program is missing."""
        try:
            done = subprocess.run(  # noqa: S603 - the configured program
                [program, "--version"],
                env=self.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise BackupFailed(f"{program} 无法运行：{error.strerror}（[backup] pg_dump）") from None
        if done.returncode or _VERSION.search(done.stdout) is None:
            raise BackupFailed(f"{program} 不是 PostgreSQL 的程序（[backup] pg_dump）")
        return done.stdout.strip()


def check_version(programs: Programs, program: str, server_major: int) -> str:
    """Return the version of a client program. Raises: BackupFailed - it is older than the server."""
    told = programs.version(program)
    found = _VERSION.search(told)
    major = int(found[1]) if found else 0
    if major < server_major:
        raise BackupFailed(
            f"{program} 的版本是 {major}，早于服务器的 {server_major}："
            "请安装同版本或更新的 postgresql-client，并设置 [backup] pg_dump"
        )
    return told


def server_major(connection: Connection) -> int:
    """Return the major version of the server."""
    return int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Connection, str]]:
    """Yield a transaction and the name of the moment that it shows, for `pg_dump --snapshot`."""
    with database.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            # It idles as long as the dump takes, and counts large tables.
            for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
                connection.execute(text(f"SET LOCAL {setting} = 0"))
            yield connection, str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())


def dump(programs: Programs, snapshot_name: str, folder: Path) -> None:
    """Stream the database into the folder. Raises: BackupFailed."""
    with os.fdopen(new_file(folder / DUMP), "wb") as file:
        programs.run(
            [
                programs.pg_dump,
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                "--no-password",
                f"--snapshot={snapshot_name}",
            ],
            output=file,
        )
        file.flush()
        os.fsync(file.fileno())


def read_back(programs: Programs, folder: Path) -> None:
    """Read a whole dump as a restore would. Raises: BackupFailed - it is damaged."""
    programs.run([programs.pg_restore, "--file=/dev/null", str(folder / DUMP)])


def load(programs: Programs, folder: Path) -> None:
    """Fill the database from a dump, all of it or nothing. Raises: BackupFailed."""
    database = make_url(programs.url).database or ""
    programs.run(
        [
            programs.pg_restore,
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-password",
            f"--dbname={database}",
            str(folder / DUMP),
        ]
    )
