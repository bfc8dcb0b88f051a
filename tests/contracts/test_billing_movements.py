"""A backend that lists movements lists every money call once, in the time in which it took effect."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from billing.interface import BillingBackend
from models.errors import Refused
from tests.contracts.subjects import LI, Subject

HOUR = timedelta(hours=1)


def listed(backend: BillingBackend, since: datetime, until: datetime) -> list[str]:
    return sorted(line.decode() for batch in backend.movements_between(since, until) for line in batch)


def test_every_money_call_is_listed_once_with_kind_key_account_and_amount(subject: Subject) -> None:
    backend, since = subject.backend, subject.clock.now
    able = backend.capabilities()
    if not able.list_movements:
        return
    for _ in range(2):
        backend.credit(LI.account_no, 1500, key="C1")
        expected = [f"credit:C1\t{LI.account_no}\t1500"]
        if able.reverse:
            backend.reverse(LI.account_no, 300, key="V1", credit_key="C1")
            expected.append(f"reversal:V1\t{LI.account_no}\t300")
        if able.withdraw:
            backend.withdraw(LI.account_no, 200, key="W1")
            expected.append(f"withdrawal:W1\t{LI.account_no}\t200")
    assert listed(backend, since, since + HOUR) == sorted(expected)
    # The end is not included, and what was there before the first call is no movement of ours.
    assert listed(backend, since - HOUR, since) == []
    subject.clock.now += HOUR
    backend.credit(LI.account_no, 100, key="C2")
    assert listed(backend, since, since + HOUR) == sorted(expected)


def test_what_was_refused_is_not_listed(subject: Subject) -> None:
    backend, since = subject.backend, subject.clock.now
    if not backend.capabilities().list_movements:
        return
    with pytest.raises(Refused):
        backend.credit("2499999999", 100, key="C1")
    with pytest.raises(Refused):
        backend.withdraw(LI.account_no, 10**6, key="W1")
    assert listed(backend, since, since + HOUR) == []
