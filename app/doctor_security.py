"""Security findings of `campusnet doctor`: who can read the secrets, and settings that weaken a guard."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from app import config as configuration
from app.config import Config
from app.config_sections import LOOPBACK_HOSTS
from app.doctor_finding import Finding

# Open to every user of the machine.
WORLD = stat.S_IRWXO


def examine(path: Path, config: Config) -> Iterator[Finding]:
    """Look at file modes and at settings; opens no connection."""
    yield _private_files(path, config)
    if config.wechat.message_mode == "plain":
        yield Finding(
            "message mode",
            well=False,
            detail="plain: messages are neither encrypted nor bound to their signature",
            remedy='choose 安全模式 in 公众平台 and message_mode = "safe"',
        )
    redis = urlsplit(config.redis.url)
    if (redis.hostname or "127.0.0.1") not in LOOPBACK_HOSTS and not redis.password:
        yield Finding(
            "redis password",
            well=False,
            detail=f"{redis.hostname} takes commands from anyone who reaches it",
            remedy="set requirepass or an ACL user, and put the password into [redis] url",
        )


def _private_files(path: Path, config: Config) -> Finding:
    exposed = [
        f"{name.name} ({stat.S_IMODE(name.stat().st_mode):04o})"
        for name in secret_files(path, config)
        if name.exists() and name.stat().st_mode & WORLD
    ]
    if exposed:
        return Finding(
            "private files",
            well=False,
            detail=f"every user of this machine can open {', '.join(exposed)}",
            remedy="chmod 600 each of them",
        )
    return Finding("private files", well=True, detail="configuration, keys and database are private")


def secret_files(path: Path, config: Config) -> list[Path]:
    """Return the files with secrets or personal data that the configuration names, itself included."""
    files = [path, config.pay.merchant_key_file, *configuration.secret_files(path)]
    database = make_url(config.database.url)
    if database.get_backend_name() == "sqlite" and database.database:
        files += [Path(f"{database.database}{ending}") for ending in ("", "-wal", "-shm")]
    return files
