"""What commands write is for its owner alone, whatever the umask of the shell."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.redis_server import free_port
from sandbox.credentials import Credentials
from tests.rig import make_config, toml

ROOT = Path(__file__).parent.parent.parent


def readable_by_others(folder: Path) -> list[str]:
    """Return the files and folders below `folder`, itself included, that others may open."""
    found = [folder, *folder.rglob("*")]
    return sorted(str(path) for path in found if path.stat(follow_symlinks=False).st_mode & 0o077)


@pytest.mark.usefixtures("open_umask")
def test_a_configuration_and_its_key_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir(mode=0o700)
    done = CliRunner().invoke(main, ["init", "--to", str(folder / "config.toml")])
    assert done.exit_code == 0, done.output
    assert len(list(folder.iterdir())) == 2
    assert readable_by_others(folder) == []


@pytest.mark.usefixtures("open_umask")
def test_a_database_is_private(tmp_path: Path, credentials: Credentials) -> None:
    folder = tmp_path / "made"
    folder.mkdir(mode=0o700)
    config = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=f"sqlite:///{folder / 'campusnet.db'}",
        redis_url="redis://127.0.0.1:9/0",
    )
    done = CliRunner().invoke(main, ["db", "upgrade", "--config", str(toml(config, tmp_path))])
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE((folder / "campusnet.db").stat().st_mode) == 0o600
    assert readable_by_others(folder) == []


@pytest.mark.slow
def test_everything_of_the_demo_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    environment = {
        "DEMO_DIR": str(folder),
        "DEMO_SECONDS": "0.1",
        "PORT": str(free_port()),
        "SANDBOX_PORT": str(free_port()),
    }
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        umask=0,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"campusnet.db", "config.toml", "redis", "sandbox", "web.log"} <= {
        path.name for path in folder.iterdir()
    }
    assert readable_by_others(folder) == []
