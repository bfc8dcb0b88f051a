from __future__ import annotations

import pytest

from billing.interface import BillingBackend
from tests.contracts.subjects import SUBJECTS, Factory, Subject


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    factory: Factory = request.param
    return factory(request)


@pytest.fixture
def backend(subject: Subject) -> BillingBackend:
    return subject.backend
