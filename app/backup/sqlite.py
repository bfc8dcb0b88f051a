"""SQLite: the online backup API, page by page, while others write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from app.backup.archive import BackupFailed, new_file

COPY = "database.sqlite"
PAGES_AT_ONCE = 1000


def path_of(url: str) -> Path:
    """Return the file of a database address. Raises: BackupFailed - it is in memory."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise BackupFailed("内存中的数据库无法备份")
    return Path(name)


def copy(url: str, folder: Path) -> None:
    """Copy the database into the folder. Raises: BackupFailed."""
    source = path_of(url)
    if not source.is_file():
        raise BackupFailed(f"数据库文件 {source} 不存在")
    target = folder / COPY
    os.close(new_file(target))
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new, pages=PAGES_AT_ONCE)
            # One file, without a log beside it.
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite 备份失败：{error}") from None
    check(target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def check(path: Path) -> None:
    """Return when the file is a whole database. Raises: BackupFailed."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite 备份已损坏：{error}") from None
    if said != "ok":
        raise BackupFailed(f"SQLite 备份已损坏：{str(said)[:200]}")


def load(folder: Path, url: str) -> None:
    """Fill an empty database from a copy. Raises: BackupFailed."""
    target = path_of(url)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(new_file(target))
    try:
        with closing(sqlite3.connect(folder / COPY)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite 恢复失败：{error}") from None
