"""A campus with payments and a payout, its chains sealed and anchored, and an intruder with the database.

The intruder may write everything in the database, drops triggers, computes hashes anew, and has
neither the audit key nor the folder of the anchors.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from models.audit import AccountHold, BookFinding
from models.journal import GENESIS, JournalRow, JournalSeal, hash_of
from models.review import ReviewItem, ReviewKind
from payments.audit import anchor, book_check, hash_chain, ledger_chain
from payments.audit.keys import AuditKeys, AuditSettings, new_key
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS
from tests.payments.payouts.payout_world import PayoutWorld

ACCOUNT, OTHER = ACCOUNTS
HOUR_S = 3600.0
TABLES = ("journal", "journal_seal", "ledger_entry", "ledger_posting", "ledger_seal", "audit_anchor")


class BookWorld(PayoutWorld):
    """Two orders of the first account and one of the second are paid and credited, and all is sealed."""

    def __init__(
        self, template: Path, database: Path, credentials: Credentials, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(template, database, credentials, patch)
        self.path = database
        self.anchors = database.parent / "anchors"
        self.use_keys(AuditKeys((new_key(),)))

    def use_keys(self, keys: AuditKeys) -> None:
        """What the service's configuration says from now on."""
        self.services = replace(self.services, audit=AuditSettings(keys=keys, anchor_dir=self.anchors))

    def live(self) -> list[str]:
        """Some days of business, sealed. Returns: the orders of the first account."""
        orders = [self.paid(500, credited=True), self.paid(700, credited=True)]
        number = self.start(1, 1, 900)
        assert number is not None
        self.prepare(number)
        self.pay(number)
        self.tell(self.platform.book.get(f"{number}01"))
        self.work()
        self.seal()
        anchor.send(self.services)
        return orders

    def seal(self) -> None:
        """What the sealing jobs do within two hours."""
        self.clock.advance(2 * HOUR_S)
        hash_chain.seal(self.services)
        ledger_chain.seal_ledger(self.services)

    def check(self) -> dict[tuple[str, str], str]:
        """The nightly check: what is wrong, by check and place."""
        book_check.run(self.services)
        return self.wrong()

    def night(self) -> dict[tuple[str, str], str]:
        """A day passes, and the nightly job runs."""
        self.clock.advance(86_400)
        book_check.nightly(self.services)
        return self.wrong()

    def wrong(self) -> dict[tuple[str, str], str]:
        """Open findings of the last run."""
        with self.database.reading() as session:
            found = session.scalars(select(BookFinding).where(BookFinding.ended_at.is_(None)))
            return {(row.check_name, row.subject): row.detail for row in found}

    def seen(self) -> dict[tuple[str, str], str]:
        """What doctor would say; nothing is written."""
        found: dict[tuple[str, str], str] = {}
        for finding in book_check.findings(self.services):
            place = finding.check, finding.subject
            found[place] = f"{found.get(place, '')} {finding.detail}".strip()
        return found

    def held(self) -> set[str]:
        """The accounts that are held."""
        with self.database.reading() as session:
            return set(session.scalars(select(AccountHold.account_no).where(AccountHold.ended_at.is_(None))))

    def items(self) -> list[ReviewItem]:
        """The review items about wrong books."""
        query = select(ReviewItem).where(ReviewItem.kind == ReviewKind.BOOKS_WRONG).order_by(ReviewItem.id)
        with self.database.reading() as session:
            return list(session.scalars(query))

    @contextmanager
    def intruder(self) -> Iterator[sqlite3.Connection]:
        """The database without triggers and keys, as somebody sees it who does not mind them."""
        with closing(sqlite3.connect(self.path)) as raw:
            kept = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in kept:
                raw.execute(f"DROP TRIGGER {name}")
            yield raw
            for _, sql in kept:
                raw.execute(sql)
            raw.commit()

    def reseal(self, key_of: Callable[[JournalSeal], str | None] = lambda _seal: None) -> None:
        """Compute the journal's chain anew, as honestly as it can be done without the key."""
        with self.intruder() as raw, self.database.reading() as session:
            before, position = GENESIS, 0
            seals = session.scalars(select(JournalSeal).order_by(JournalSeal.position))
            chain = [(seal, session.get(JournalRow, seal.journal_id)) for seal in seals]
            raw.execute("DELETE FROM journal_seal")
            for seal, row in chain:
                if row is None:
                    continue
                position += 1
                before = hash_of(row, before)
                raw.execute(
                    "INSERT INTO journal_seal (position, journal_id, hash, key_id) VALUES (?, ?, ?, ?)",
                    (position, row.id, before, key_of(seal)),
                )

    def reseal_ledger(self) -> None:
        """Compute the seals of the ledger anew with hashes that need no key."""
        with self.intruder() as raw:
            seals = raw.execute("SELECT position, hash FROM ledger_seal ORDER BY position").fetchall()
            for position, _ in seals:
                forged = hashlib.sha256(json.dumps(position).encode()).hexdigest()
                raw.execute(
                    "UPDATE ledger_seal SET hash = ?, key_id = NULL WHERE position = ?", (forged, position)
                )
