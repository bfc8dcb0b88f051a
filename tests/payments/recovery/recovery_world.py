"""A campus whose database is lost: backed up, used, destroyed, restored, recovered."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.worker import Worker
from models.ledger import Account
from models.package import Purchase
from models.payout import PartStatus, Payout, PayoutPart
from models.recovery import Recovery, RecoveryStatus
from models.review import ReviewItem, ReviewStatus
from models.values.actor import Actor
from payments import credit, swap
from payments.attach import AttachKeys
from payments.audit import hash_chain
from payments.audit.invariants import check, conservation
from payments.payouts import delivery as payout_delivery
from payments.recovery import journal_copy, opening
from payments.recovery.report import Report
from payments.recovery.run import recover
from payments.refunds import delivery as refund_delivery
from payments.wechatpay.crypto import derive_key
from sandbox.credentials import Credentials
from tests.payments.payouts.payout_world import PayoutWorld

KEYS = AttachKeys((derive_key("s" * 32, "attach"),))
OPERATOR = Actor.from_name("cw")
DAY_S = 86_400.0


class RecoveryWorld(PayoutWorld):
    """Orders carry attach; `backup` and `restore` copy the file as an operator would."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(template, database, credentials, patch)
        self.services = replace(self.services, attach=KEYS)
        self.worker = self._new_worker()
        self._backup = database.with_suffix(".backup")
        self.journal_copy = database.with_suffix(".jsonl")
        self.backed_up_at = self.clock.now()

    def backup(self) -> None:
        """Copy what there is now."""
        source = sqlite3.connect(self._path())
        target = sqlite3.connect(self._backup)
        source.backup(target)
        source.close()
        target.close()
        self.backed_up_at = self.clock.now()
        self.clock.advance(60)

    def copy_journal(self) -> None:
        """What a worker does every few seconds."""
        hash_chain.seal(self.services)
        journal_copy.copy_rows(self.services, self.journal_copy)

    def destroy_and_restore(self) -> None:
        """Everything after the backup is gone; nothing works until it was recovered."""
        self.database.dispose()
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(self._path() + suffix).unlink()
        shutil.copy(self._backup, self._path())
        with self.database.transaction() as session:
            opening.open_recovery(
                session, since=self.backed_up_at, backup_no="b1", actor="cw", now=self.clock.now()
            )

    def recovered(self, since: datetime | None = None) -> Report:
        """Run `recover` once."""
        return recover(
            self.services, since=since, actor=OPERATOR, work=self.carry_out, copy=self.journal_copy
        )

    def bills_come(self) -> None:
        """Ten in the morning after the day that this is."""
        self.clock.advance(2 * DAY_S)

    def carry_out(self, kinds: Sequence[str]) -> None:
        """What the command does between the steps."""
        everything = {
            "credit": credit.deliver,
            "refund": refund_delivery.deliver,
            "payout": payout_delivery.deliver,
            "swap": swap.deliver,
        }
        chosen = {kind: everything[kind] for kind in kinds}
        worker = Worker(self.services, chosen, wait=lambda _seconds: None, recovers=True)
        while worker.run_once():
            pass

    def status(self) -> RecoveryStatus:
        """Of the last recovery."""
        with self.database.reading() as session:
            found = session.scalars(select(Recovery).order_by(Recovery.id.desc())).first()
        assert found is not None
        return RecoveryStatus(found.status)

    def balance_of(self, account_no: str) -> int:
        """What billing has for an account."""
        with self.database.reading() as session:
            return session.get_one(Account, account_no).balance_fen

    def open_items(self) -> list[tuple[str, str]]:
        """Kind and key of what waits for operators."""
        with self.database.reading() as session:
            query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED)
            return [(str(item.kind), item.key) for item in session.scalars(query.order_by(ReviewItem.id))]

    def listed(self) -> list[str]:
        """Parts that stand on a list, or would stand on the next one."""
        with self.database.reading() as session:
            query = select(PayoutPart.part_no).where(PayoutPart.fate_unknown.is_(True))
            return list(session.scalars(query))

    def kept_at_wechat(self) -> int:
        """Fen that WeChat took for our orders and has not given back."""
        paid = sum(t.request.amount_fen for t in self.paid_trades() if t.request.out_trade_no[0] == "r")
        back = sum(
            refund.request.amount_fen
            for refund in self.platform.refunds.all()
            if refund.status in ("SUCCESS", "PROCESSING") and refund.order.request.out_trade_no[0] == "r"
        )
        return paid - back

    def kept_by_us(self) -> int:
        """Fen that our books say came by WeChat and have not gone back."""
        with self.database.reading() as session:
            money = conservation(session)
            assert check(session) == []
        return money.paid_fen - money.counter_fen - money.refunded_fen

    def _path(self) -> str:
        return self.database.url.removeprefix("sqlite:///")

    def minutes(self, number: int) -> None:
        """Time passes; nothing is done."""
        self.clock.advance(timedelta(minutes=number).total_seconds())

    def billed_to(self, account_no: str) -> int:
        """What the account should hold: what WeChat keeps for it, less packages and payouts."""
        with self.database.reading() as session:
            spent = session.scalars(select(Purchase.price_fen).where(Purchase.account_no == account_no))
            parts = session.scalars(
                select(PayoutPart.amount_fen)
                .join(Payout, Payout.id == PayoutPart.payout_id)
                .where(
                    Payout.account_no == account_no,
                    PayoutPart.status.in_((PartStatus.WITHDRAWN, PartStatus.LISTED, PartStatus.PAID)),
                )
            )
            review = conservation(session).review_fen + conservation(session).in_flight_fen
            return self.kept_at_wechat() - sum(spent) - sum(parts) - review
