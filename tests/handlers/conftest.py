from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handlers.handler_chat import Chat, open_chat, prepare


@pytest.fixture(scope="session")
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("handlers") / "prepared.db")


@pytest.fixture
def chat(prepared_database: Path, tmp_path: Path) -> Iterator[Chat]:
    """A person nobody knows yet."""
    opened = open_chat(Path(shutil.copy(prepared_database, tmp_path / "chat.db")))
    yield opened
    opened.services.database.dispose()


@pytest.fixture
def bound(chat: Chat) -> Chat:
    """A person who has bound an account."""
    chat.bind()
    return chat
