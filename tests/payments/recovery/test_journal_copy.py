"""What WeChat cannot tell after a restore: packages, payouts by bank, counter money."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from models.errors import IllegalTransition, Unavailable
from models.journal import JournalRow
from models.payout import PartStatus
from models.recovery import UnderMaintenance
from payments.payouts import transfer_list
from payments.recovery import journal_copy
from payments.refunds.approval import SamePerson
from payments.review import queue
from tests.models_of_money.world import ACCOUNTS
from tests.payments.payouts.payout_world import BANK, NAME
from tests.payments.recovery.recovery_world import OPERATOR, RecoveryWorld
from tests.payments.refunds.refund_world import ANNA, BERT


def positions(path: Path) -> list[int]:
    return [json.loads(line)["position"] for line in path.read_text(encoding="utf-8").splitlines() if line]


def test_every_sealed_row_is_copied_once_and_in_order(world: RecoveryWorld) -> None:
    world.paid(credited=True)
    world.copy_journal()
    world.copy_journal()
    world.paid(600, credited=True)
    world.copy_journal()
    with world.database.reading() as session:
        rows = session.scalar(select(func.count()).select_from(JournalRow)) or 0
    assert positions(world.journal_copy) == list(range(1, rows + 1))
    assert world.journal_copy.stat().st_mode & 0o077 == 0


def test_a_line_that_was_cut_off_is_written_again(world: RecoveryWorld) -> None:
    world.paid(credited=True)
    world.copy_journal()
    whole = world.journal_copy.read_bytes()
    world.journal_copy.write_bytes(whole[:-20])
    world.copy_journal()
    lines = world.journal_copy.read_text(encoding="utf-8").splitlines()
    assert lines[-1] == whole.decode().splitlines()[-1]
    assert journal_copy.lost_rows(world.services, world.journal_copy, world.backed_up_at) == []


def test_a_file_that_cannot_be_written_is_said_and_tried_again(world: RecoveryWorld, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        journal_copy.copy_rows(world.services, tmp_path / "nowhere" / "journal.jsonl")


def test_a_package_that_was_bought_after_the_backup_is_bought_again(world: RecoveryWorld) -> None:
    world.cash(2000)
    offer = world.services.billing.catalogue(ACCOUNTS[0])[0]
    world.cash(offer.price_fen, "A0002")
    world.backup()
    world.services.billing.exchange(ACCOUNTS[0], offer.code, key="k1", price_fen=offer.price_fen)
    left_fen = world.balance_of(ACCOUNTS[0])
    world.copy_journal()
    world.destroy_and_restore()
    world.bills_come()
    report = world.recovered()
    assert (report.rows["package_rebuilt"], report.fen["package_rebuilt"]) == (1, offer.price_fen)
    assert world.balance_of(ACCOUNTS[0]) == left_fen
    assert world.recovered().changed == 0
    assert world.balance_of(ACCOUNTS[0]) == left_fen


def test_a_package_that_is_not_sold_any_more_is_listed(world: RecoveryWorld) -> None:
    world.backup()
    offer = world.services.billing.catalogue(ACCOUNTS[0])[0]
    world.cash(offer.price_fen)
    world.services.billing.exchange(ACCOUNTS[0], offer.code, key="k1", price_fen=offer.price_fen)
    world.copy_journal()
    world.destroy_and_restore()
    world.bills_come()
    report = world.recovered()
    # The cash is gone from the books as well: it cannot be paid with what is there.
    assert {one.what for one in report.unexplained} == {"counter-booked", "package-bought"}
    assert ("NOT_REBUILT", "counter-booked:A0001") in world.open_items()
    assert ("NOT_REBUILT", "package-bought:k1") in world.open_items()
    world.cash(offer.price_fen)
    assert {one.what for one in world.recovered().unexplained} == set()


def test_a_payout_made_after_the_backup_is_taken_off_the_account_and_held(world: RecoveryWorld) -> None:
    world.cash(2000)
    world.backup()
    view = world.agreed()
    world.work()
    part_no = world.look(view).parts[0].part_no
    list_no = transfer_list.make_list(world.services, actor=OPERATOR)
    assert list_no is not None
    transfer_list.mark_paid(world.services, part_no=part_no, actor=OPERATOR)
    world.copy_journal()
    world.destroy_and_restore()
    assert world.balance_of(ACCOUNTS[0]) == 2000
    world.bills_come()
    report = world.recovered()
    assert (report.rows["payout_rebuilt"], report.fen["payout_rebuilt"]) == (1, 2000)
    assert world.balance_of(ACCOUNTS[0]) == 0
    assert world.part(part_no).status == PartStatus.WITHDRAWN
    assert transfer_list.make_list(world.services, actor=OPERATOR) is None
    _decide(world, "payout-paid")
    assert world.part(part_no).status == PartStatus.PAID
    assert world.recovered().changed == 0
    world.check_books()


def test_a_rebuilt_payout_that_was_not_paid_needs_bank_details_first(world: RecoveryWorld) -> None:
    world.cash(2000)
    world.backup()
    part_no = world.look(world.agreed()).parts[0].part_no
    world.work()
    world.copy_journal()
    world.destroy_and_restore()
    world.bills_come()
    world.recovered()
    with pytest.raises(IllegalTransition):
        _decide(world, "payout-not-paid")
    transfer_list.correct_bank(world.services, part_no=part_no, actor=ANNA, payee=NAME, **BANK)
    _decide(world, "payout-not-paid")
    with pytest.raises(SamePerson):
        transfer_list.make_list(world.services, actor=ANNA)
    list_no = transfer_list.make_list(world.services, actor=OPERATOR)
    assert list_no is not None
    (row,) = transfer_list.rows_of(world.services, list_no)
    assert (row.part_no, row.payee, row.amount_fen) == (part_no, NAME, 2000)


def test_the_copy_of_the_lost_database_is_set_aside(world: RecoveryWorld) -> None:
    world.paid(credited=True)
    world.backup()
    world.paid(600, credited=True)
    world.copy_journal()
    lost = world.journal_copy.read_bytes()
    world.destroy_and_restore()
    with pytest.raises(UnderMaintenance):
        transfer_list.make_list(world.services, actor=OPERATOR)
    world.bills_come()
    world.recovered()
    world.copy_journal()
    (aside,) = world.journal_copy.parent.glob("*.before-recovery-*")
    assert aside.read_bytes() == lost
    assert positions(world.journal_copy)[0] == 1


def _decide(world: RecoveryWorld, action: str) -> None:
    with world.database.reading() as session:
        item = next(item for item in queue.list_items(session) if item.kind == "PAYOUT_FATE")
    queue.propose(world.services, item.id, action=action, actor=ANNA, evidence="银行流水 2026-11-28")
    queue.approve(world.services, item.id, actor=BERT)
