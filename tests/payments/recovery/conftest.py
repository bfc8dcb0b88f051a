from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.recovery.recovery_world import RecoveryWorld


@pytest.fixture(scope="session")
def recovery_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("recovery"))


@pytest.fixture
def world(
    recovery_template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecoveryWorld]:
    built = RecoveryWorld(recovery_template, tmp_path / "campus.db", credentials, monkeypatch)
    yield built
    built.close()
