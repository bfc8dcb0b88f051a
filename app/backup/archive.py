"""The folder of one backup: its manifest, its hashes, and how old ones are removed.

A backup is written under a temporary name and renamed once it is complete and was read back.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
CONFIG = "config.json"
FORMAT = 1
PREFIX = "campusnet-"
PARTIAL = ".partial-"
FOLDER_MODE, FILE_MODE = 0o700, 0o600
READ_BYTES = 1024 * 1024
# A partial backup of this age belongs to no process that still runs.
PARTIAL_LIFE = timedelta(days=2)


class BackupFailed(Exception):
    """The backup cannot be made, or cannot be used; the text is one line for the operator."""


@dataclass(frozen=True)
class Part:
    """One file of a backup."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `counts` are rows by table, `started_at` the moment that it shows."""

    backup_no: str
    started_at: datetime
    finished_at: datetime
    application: str
    schema_revision: str
    dialect: str
    server: str
    client: str
    counts: Mapping[str, int]
    parts: Mapping[str, Part]

    def as_json(self) -> str:
        """Return the text of the manifest file."""
        fields = asdict(self) | {
            "format": FORMAT,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
        }
        return json.dumps(fields, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def new_backup_no(now: datetime) -> str:
    """Return a number that sorts by time: campusnet-20261128T040000.000000Z-1a2b3c4d."""
    return f"{PREFIX}{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"


@contextmanager
def new_folder(parent: Path, backup_no: str) -> Iterator[Path]:
    """Yield a private folder; it gets its name when the block returns and is removed when it raises.

    Raises: BackupFailed - the folder cannot be made or written.
    """
    partial, final = parent / f"{PARTIAL}{backup_no}", parent / backup_no
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        partial.mkdir(mode=FOLDER_MODE)
        partial.chmod(FOLDER_MODE)
        try:
            yield partial
            _sync(partial)
            partial.rename(final)
            _sync(parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise BackupFailed(f"{error.filename or parent} 无法写入：{error.strerror}") from None


def new_file(path: Path) -> int:
    """Return a descriptor of a new file that only its owner can read."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)


def write_text(path: Path, text: str) -> None:
    """Write a new private file, on the disk when this returns."""
    with os.fdopen(new_file(path), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def part_of(path: Path) -> Part:
    """Return size and hash of a file as it is read back."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
    return Part(digest.hexdigest(), size_bytes)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a backup. Raises: BackupFailed - there is none, or it cannot be used."""
    path = folder if folder.name == MANIFEST else folder / MANIFEST
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise BackupFailed(f"{path} 的格式版本无法识别")
        parts = {name: Part(**part) for name, part in fields.pop("parts").items()}
        started_at = datetime.fromisoformat(fields.pop("started_at"))
        finished_at = datetime.fromisoformat(fields.pop("finished_at"))
        return Manifest(parts=parts, started_at=started_at, finished_at=finished_at, **fields)
    except OSError as error:
        raise BackupFailed(f"{path} 无法读取：{error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BackupFailed(f"{path} 不是备份清单，或已损坏") from None


def check_parts(folder: Path, manifest: Manifest) -> None:
    """Return when every file is the one that was written. Raises: BackupFailed."""
    for name, part in manifest.parts.items():
        path = folder / Path(name).name
        try:
            found = part_of(path)
        except OSError as error:
            raise BackupFailed(f"备份文件 {path} 无法读取：{error.strerror}") from None
        if found != part:
            raise BackupFailed(f"备份文件 {path} 与清单不一致（SHA-256），不能使用")


def backups_in(parent: Path) -> list[Path]:
    """Return the complete backups in a folder, oldest first."""
    return sorted(path.parent for path in parent.glob(f"{PREFIX}*/{MANIFEST}"))


def remove_old(parent: Path, newest: Path, keep: int, now: datetime) -> list[Path]:
    """Remove all complete backups but `keep`, and what interrupted ones left. Returns: them.

    `newest` stays whatever the names say: a clock may have gone back.
    """
    old = [path for path in backups_in(parent)[:-keep] if path != newest]
    for path in parent.glob(f"{PARTIAL}{PREFIX}*"):
        with suppress(OSError):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - PARTIAL_LIFE:
                old.append(path)
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
