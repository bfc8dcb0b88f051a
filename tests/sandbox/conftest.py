"""Rigs of the official-account tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.credentials import Credentials
from tests.sandbox.oa_rig import OaRig


@pytest.fixture
def oa(credentials: Credentials) -> Iterator[OaRig]:
    with OaRig(credentials) as started:
        yield started


@pytest.fixture
def plain_oa(credentials: Credentials) -> Iterator[OaRig]:
    with OaRig(credentials, "plain") as started:
        yield started
