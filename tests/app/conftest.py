"""A configuration file as a command finds it, with nobody who answers outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.credentials import Credentials
from tests.rig import make_config, prepare, toml


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A database with all tables."""
    url = f"sqlite:///{tmp_path / 'app.db'}"
    prepare(url, [])
    return url


@pytest.fixture
def path(tmp_path: Path, credentials: Credentials, database_url: str) -> Path:
    """Where the file lies."""
    config = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:8000",
        platform="http://127.0.0.1:9",
        database_url=database_url,
        redis_url="redis://127.0.0.1:9/0",
    )
    written = toml(config, tmp_path)
    for file in tmp_path.iterdir():
        # As `campusnet init` and the umask of the commands leave them.
        file.chmod(0o600)
    return written
