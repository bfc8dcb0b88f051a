from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from handler_chat import Chat, open_chat


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    """A person nobody knows yet."""
    opened = open_chat(tmp_path)
    yield opened
    opened.services.database.dispose()


@pytest.fixture
def bound(chat: Chat) -> Chat:
    """A person who has bound an account."""
    chat.bind()
    return chat
