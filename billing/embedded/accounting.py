"""Accounting as a whole: batches from anywhere into transactions, and the sweep of silent sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from billing.embedded import sessions
from billing.embedded.faults import looking
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
    ) -> None:
        self._database = database
        self._clock = clock
        self._counted = counted
        self._interim_s = interim_s
        self._announce = announce
        self._account_rules = account_rules

    def take(self, records: Sequence[Any]) -> list[Answer]:
        """Count records; anything at all may stand in the list.

        Returns: an answer for each, in the same order. Raises: Unavailable - the records from some
            place on were not counted; sending all of them again counts none twice.
        """
        answers: list[Answer] = []
        for batch in batches(records, BATCH):
            answers += self._take_batch(batch)
        return answers

    def sweep(self) -> int:
        """End the sessions that nobody has heard of for several reports. Returns: how many.

        Raises: Unavailable.
        """
        silent_since = self._clock() - timedelta(seconds=MISSED_INTERIMS * self._interim_s)
        ended = 0
        with looking():
            while True:
                with self._database.transaction() as session:
                    found = sessions.close_stale(session, silent_since)
                ended += found
                if found < sessions.CLOSE_STEP:
                    return ended

    def _take_batch(self, batch: Sequence[Any]) -> list[Answer]:
        now = self._clock()
        read = [_read(record, now) for record in batch]
        reports = [record for record in read if isinstance(record, Report)]
        with looking():
            outcomes = iter(self._ingest(reports, now) if reports else ())
            for record in read:
                if isinstance(record, NasRestart):
                    self._close_nas(record)
        answers = []
        for record in read:
            if isinstance(record, Report):
                answers.append(Answer(next(outcomes)))
            else:
                answers.append(Answer(Outcome.CLOSED) if isinstance(record, NasRestart) else record)
        return answers

    def _ingest(self, reports: Sequence[Report], now: datetime) -> list[Outcome]:
        with self._database.transaction() as session:
            counted = self._counted or Counted(rule_in_force(session, now).counted)
            ingested = ingest(session, reports, counted=counted, now=now, account_rules=self._account_rules)
            self._announce(session, ingested, now)
        return ingested.outcomes

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


def _read(record: Any, now: datetime) -> Report | NasRestart | Answer:
    if not isinstance(record, Mapping):
        return Answer(Outcome.MALFORMED, "record")
    try:
        return read_record(record, now)
    except Malformed as error:
        return Answer(Outcome.MALFORMED, str(error))
