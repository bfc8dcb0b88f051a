"""A folder in memory where the machine has one: commits are what these tests do most."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A new folder, gone afterwards."""
    folder = Path(
        tempfile.mkdtemp(prefix="campusnet-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
