"""What our books expect billing to list, read on both databases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from models.db.engine import Database
from models.order import CreditStatus, move_credit
from models.payout import PartStatus, PartWay, Payout, PayoutPart, PayoutStatus, move_part
from models.refund import Refund, RefundStatus, ReversalStatus, move_reversal
from models.swap import SwapIntent, SwapStatus, end_swap
from payments.reconcile.billing.expected import expected, known_movements
from payments.reconcile.ours import Day, Tally
from tests.payments.reconcile.bill_maker import ON, BillWorld

ACCOUNT = "2400101001"
PART_NO = f"p20260310{'q' * 11}-01"


@pytest.fixture
def world(any_database: Database, tmp_path: Path) -> BillWorld:
    return BillWorld(any_database, tmp_path)


def fill(world: BillWorld) -> list[str]:
    """One movement of each kind, and what undoes a credit and a withdrawal."""
    now = world.clock()
    refunded, bought, undone = world.credited(500), world.credited(600), world.paid(700)
    with world.database.transaction() as session:
        refund = Refund(
            order_id=refunded.id,
            out_refund_no=f"f{refunded.order_no}01",
            out_trade_no=f"{refunded.order_no}01",
            amount_fen=300,
            reason="",
            origin="ours",
            status=RefundStatus.APPROVED,
            reversal=ReversalStatus.PENDING,
            held=False,
            requested_by="a",
            created_at=now,
            changed_at=now,
        )
        payout = Payout(
            payout_no=PART_NO[:-3], account_no=ACCOUNT, amount_fen=200, formula={}, payee="", bank_name="",
            status=PayoutStatus.APPROVED, bank_account="", requested_by="a", created_at=now, changed_at=now,
        )  # fmt: skip
        swap = SwapIntent(
            order_id=bought.id, package_code="P05", package_name="", price_fen=500,
            status=SwapStatus.WAITING, changed_at=now,
        )  # fmt: skip
        session.add_all([refund, payout, swap])
        session.flush()
        part = PayoutPart(
            payout_id=payout.id, seq=1, part_no=PART_NO, way=PartWay.BANK, amount_fen=200,
            status=PartStatus.SENDING, undo_key=f"u{PART_NO}", changed_at=now,
        )  # fmt: skip
        session.add(part)
        session.flush()
        for reversal in (ReversalStatus.SENDING, ReversalStatus.DONE):
            move_reversal(session, refund, reversal, now=now)
        moves = (PartStatus.WITHDRAWN, PartStatus.LISTED, PartStatus.WITHDRAWN)
        for status in moves:
            move_part(session, part, status, now=now)
        end_swap(session, bought.id, SwapStatus.DONE, now=now)
        credit = session.merge(world.credit(undone))
        for state in (
            CreditStatus.VOIDED,
            CreditStatus.LATE,
            CreditStatus.TAKING_BACK,
            CreditStatus.TAKEN_BACK,
        ):
            move_credit(session, credit, state, now=now, undo_key=f"uc{undone.order_no}")
    return [
        f"reversal:vf{refunded.order_no}01\t{ACCOUNT}\t300",
        f"withdrawal:{PART_NO}\t{ACCOUNT}\t200",
        f"exchange:x{bought.order_no}\t{ACCOUNT}\t500",
        f"reversal:uc{undone.order_no}\t{ACCOUNT}\t700",
    ]


def listed(world: BillWorld, day: Day) -> list[str]:
    tally = Tally()
    found = [line.decode() for step in expected(world.database, day, tally) for line in step]
    assert tally.rows == len(found)
    return found


def test_each_movement_is_expected_once_on_its_day(world: BillWorld) -> None:
    lines = fill(world)
    assert listed(world, Day.of(ON)) == lines
    assert listed(world, Day.of(ON + timedelta(days=1))) == []


def test_each_movement_is_known_by_its_key(world: BillWorld) -> None:
    lines = fill(world)
    keys = [line.partition("\t")[0] for line in lines]
    with world.database.reading() as session:
        found = known_movements(session, [*keys, "reversal:vf-none", f"credit:u{PART_NO}"])
    assert [found[key].line.decode() for key in keys] == lines
    assert all(found[key].applied and found[key].applied_at == world.clock() for key in keys)
    assert not found[f"credit:u{PART_NO}"].applied
