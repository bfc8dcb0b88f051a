from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.audit.book_world import BookWorld


@pytest.fixture(scope="session")
def book_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("books"))


@pytest.fixture
def books(
    book_template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BookWorld]:
    made = BookWorld(book_template, tmp_path / "money.db", credentials, monkeypatch)
    yield made
    made.close()
