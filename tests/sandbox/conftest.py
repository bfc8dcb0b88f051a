"""Rigs of the official-account tests: one sandbox for all of them, reset before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.credentials import Credentials
from tests.sandbox.oa_rig import OaRig


@pytest.fixture(scope="session")
def running_oa(credentials: Credentials) -> Iterator[OaRig]:
    with OaRig(credentials) as started:
        yield started


@pytest.fixture
def oa(running_oa: OaRig) -> OaRig:
    """Messages in safe mode."""
    running_oa.renew("safe")
    return running_oa


@pytest.fixture
def plain_oa(running_oa: OaRig) -> OaRig:
    """Messages in plain mode."""
    running_oa.renew("plain")
    return running_oa
