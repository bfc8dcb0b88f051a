"""A world for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.refunds.refund_world import RefundWorld


@pytest.fixture(scope="session")
def money_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("money"))


@pytest.fixture
def world(
    money_template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    made = RefundWorld(money_template, tmp_path / "money.db", credentials, monkeypatch)
    yield made
    made.close()
