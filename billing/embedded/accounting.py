"""Accounting as a whole: batches from anywhere into transactions, and the sweep of silent sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from billing.embedded import dead_letters, sessions
from billing.embedded.dead_letters import Letter
from billing.embedded.faults import looking
from billing.embedded.handover import OthersConcerned
from billing.embedded.ingest import Ingested, Outcome, ingest
from billing.embedded.records import NasRestart, Report, read_record
from billing.embedded.rules import rule_in_force
from models.clock import Clock
from models.db.engine import Database
from models.errors import Malformed
from models.package import Counted
from models.values.account_no import DEFAULT_RULES, AccountRules

# One transaction each: long enough to be cheap, short enough that nobody waits for its locks.
BATCH = 500
INTERIM_S = 300
# A session that has missed so many reports in a row is over; a late one opens it again.
MISSED_INTERIMS = 4
DEAD_LETTER_DAYS = 180
_NOT_COUNTED = (Outcome.MALFORMED, Outcome.NO_ACCOUNT)


@dataclass(frozen=True)
class Answer:
    """What became of one record; `field` names what was wrong with a malformed one."""

    outcome: Outcome
    field: str | None = None


Announce = Callable[[Session, Ingested, datetime], None]


def announce_nothing(_session: Session, _ingested: Ingested, _now: datetime) -> None:
    """For whoever does not tell anybody."""


class Accounting:
    """The way in for accounting records; each method is a journey of short transactions.

    `announce` is called in the transaction of each batch: what it writes stands or falls with the
    batch. `counted` is the direction that counts, None: as the rule in force says (docs/policy.md).
    `interim_s` is how often the NAS reports a running session. User names are read by `account_rules`.
    Records that cannot be counted are kept for `dead_letter_days`, in the transaction of their batch.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        counted: Counted | None = None,
        interim_s: int = INTERIM_S,
        announce: Announce = announce_nothing,
        account_rules: AccountRules = DEFAULT_RULES,
        dead_letter_days: int = DEAD_LETTER_DAYS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._counted = counted
        self._interim_s = interim_s
        self._announce = announce
        self._account_rules = account_rules
        self._dead_letter_days = dead_letter_days

    def take(self, records: Sequence[Any], *, source: str = "http") -> list[Answer]:
        """Count records; anything at all may stand in the list. What cannot be counted is kept.

        Returns: an answer for each, in the same order. Raises: Unavailable - the records from some
            place on were not counted; sending all of them again counts none twice.
        """
        answers: list[Answer] = []
        for batch in batches(records, BATCH):
            answers += self._take_batch(batch, source)
        return answers

    def replay(self, reason: str | None = None) -> Counter[str]:
        """Try kept records again, in the order in which they came; none counts a second time.

        Args:
            reason: only those that were kept for this one.
        Returns: how many had which outcome. Raises: Unavailable - the rest is to be replayed.
        """
        outcomes: Counter[str] = Counter()
        after = 0
        with looking():
            while True:
                with self._database.reading() as session:
                    shown = dead_letters.waiting(session, reason=reason, after=after, limit=BATCH)
                if not shown:
                    return outcomes
                after = shown[-1].id
                outcomes.update(self._replay_batch(shown))

    def sweep(self) -> int:
        """End the sessions that nobody has heard of for several reports. Returns: how many.

        Kept records that are too old are deleted. Raises: Unavailable.
        """
        self._purge()
        silent_since = self._clock() - timedelta(seconds=MISSED_INTERIMS * self._interim_s)
        ended = 0
        with looking():
            while True:
                with self._database.transaction() as session:
                    found = sessions.close_stale(session, silent_since)
                ended += found
                if found < sessions.CLOSE_STEP:
                    return ended

    def _take_batch(self, batch: Sequence[Any], source: str) -> list[Answer]:
        now = self._clock()
        read = [_read(record, now) for record in batch]
        with looking():
            return self._answers(
                read,
                now,
                lambda session, found: dead_letters.keep(
                    session, _letters(batch, found), source=source, now=now
                ),
            )

    def _replay_batch(self, shown: Sequence[dead_letters.Shown]) -> list[str]:
        now = self._clock()
        read = [_read(dead_letters.record_of(one), now) for one in shown]

        def note(session: Session, found: Sequence[Answer]) -> None:
            counted = {
                one.id: str(answer.outcome)
                for one, answer in zip(shown, found, strict=True)
                if answer.outcome not in _NOT_COUNTED
            }
            dead_letters.mark_counted(session, counted, now)

        return [str(answer.outcome) for answer in self._answers(read, now, note)]

    def _answers(
        self,
        read: Sequence[Report | NasRestart | Answer],
        now: datetime,
        note: Callable[[Session, Sequence[Answer]], None],
    ) -> list[Answer]:
        """Count what was read; `note` writes what became of all in the same transaction."""
        also: frozenset[str] = frozenset()
        while True:
            try:
                with self._database.transaction() as session:
                    answers = self._ingest(session, read, now, also)
                    note(session, answers)
                break
            except OthersConcerned as others:
                also |= others.accounts
        for record in read:
            if isinstance(record, NasRestart):
                self._close_nas(record)
        return answers

    def _ingest(
        self,
        session: Session,
        read: Sequence[Report | NasRestart | Answer],
        now: datetime,
        also: frozenset[str],
    ) -> list[Answer]:
        reports = [record for record in read if isinstance(record, Report)]
        outcomes: Iterator[Outcome] = iter(())
        if reports:
            counted = self._counted or Counted(rule_in_force(session, now).counted)
            ingested = ingest(
                session, reports, counted=counted, now=now, account_rules=self._account_rules, also=also
            )
            self._announce(session, ingested, now)
            outcomes = iter(ingested.outcomes)
        return [
            Answer(next(outcomes))
            if isinstance(record, Report)
            else Answer(Outcome.CLOSED)
            if isinstance(record, NasRestart)
            else record
            for record in read
        ]

    def _purge(self) -> None:
        received_before = self._clock() - timedelta(days=self._dead_letter_days)
        with looking():
            while True:
                with self._database.transaction() as session:
                    if not dead_letters.purge(session, received_before):
                        return

    def _close_nas(self, restart: NasRestart) -> None:
        while True:
            with self._database.transaction() as session:
                found = sessions.close_nas(session, restart)
            if found < sessions.CLOSE_STEP:
                return


def batches(records: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The records in lists of at most `size`, in flat memory."""
    rest = iter(records)
    while batch := list(islice(rest, size)):
        yield batch


def _letters(batch: Sequence[Any], answers: Sequence[Answer]) -> list[Letter]:
    return [
        Letter(record, answer.field or str(answer.outcome))
        for record, answer in zip(batch, answers, strict=True)
        if answer.outcome in _NOT_COUNTED
    ]


def _read(record: Any, now: datetime) -> Report | NasRestart | Answer:
    if not isinstance(record, Mapping):
        return Answer(Outcome.MALFORMED, "record")
    try:
        return read_record(record, now)
    except Malformed as error:
        return Answer(Outcome.MALFORMED, str(error))
