"""What all processes of a test run share: made once, by whichever of them needs it first.

The run has one folder. Its first process (with xdist: the one that hands out the tests) makes it and
removes it, and tells the others where it is.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_FOLDER = pytest.StashKey[Path]()
_TOLD = "campusnet_run_folder"


class Once:
    """Names and what was made for them, as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, make: Callable[[], str]) -> str:
        """What `make` returned to whoever came first; the others wait meanwhile."""
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = self.made(name)
            if made is None:
                made = make()
                (self._folder / name).write_text(made, encoding="utf-8")
            return made

    def made(self, name: str) -> str | None:
        """What was made under this name, None while nobody needed it."""
        path = self._folder / name
        return path.read_text(encoding="utf-8") if path.exists() else None


def of_run(config: pytest.Config) -> Once:
    """The one folder of this run."""
    return Once(config.stash[_FOLDER])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Find the folder, or make it."""
    told = getattr(config, "workerinput", {}).get(_TOLD)
    config.stash[_FOLDER] = Path(told or tempfile.mkdtemp(prefix="cn-run-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell another process of this run where the folder is."""
    node.workerinput[_TOLD] = str(node.config.stash[_FOLDER])


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it, in the process that made it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def once(pytestconfig: pytest.Config) -> Once:
    """What the processes of this run share."""
    return of_run(pytestconfig)
