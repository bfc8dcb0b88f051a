"""The list of movements that reconciliation reads."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.embedded.engine import EmbeddedBilling
from models import bulk
from tests.billing.fixed_clock import FixedClock


def listed(billing: EmbeddedBilling, clock: FixedClock, *, hours: int = 1) -> list[tuple[str, str, int]]:
    until = clock.now + timedelta(hours=hours)
    lines = [line for batch in billing.movements_between(clock.now, until) for line in batch]
    return [(key, account_no, int(fen)) for key, account_no, fen in (x.decode().split("\t") for x in lines)]


def test_credits_of_the_time_are_listed_and_no_others(billing: EmbeddedBilling, clock: FixedClock) -> None:
    noon = clock.now
    for hours, key in ((-1, "before"), (0, "first"), (1, "end")):
        clock.now = noon + timedelta(hours=hours)
        billing.credit("A1", 500, key=key)
    clock.now = noon
    billing.credit("A2", 700, key="second")
    assert sorted(listed(billing, clock)) == [("credit:first", "A1", 500), ("credit:second", "A2", 700)]
    assert listed(billing, clock, hours=0) == []


def test_a_repeated_credit_is_listed_once_and_a_reversal_beside_it(
    billing: EmbeddedBilling, clock: FixedClock
) -> None:
    billing.credit("A1", 500, key="c1")
    billing.credit("A1", 500, key="c1")
    billing.reverse("A1", 200, key="v1", credit_key="c1")
    assert listed(billing, clock) == [("credit:c1", "A1", 500), ("reversal:v1", "A1", 200)]


@pytest.mark.parametrize("step", [1, 3, 100])
def test_no_credit_is_lost_between_two_steps(
    billing: EmbeddedBilling, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(bulk, "STEP", step)
    for number in range(10):
        billing.credit("A1", 100, key=f"k{number}")
    assert listed(billing, clock) == [(f"credit:k{number}", "A1", 100) for number in range(10)]
