"""The worker: `run_once` does what is due, `run_periodic` what the hour asks for, `run` repeats both.

Any number of workers may run; leases in the outbox keep them from doing the same work twice. Each lane has
a thread of its own, and so has each outside system that money needs: a hanging message API or WeChat Pay
keeps no credit waiting. Periodic jobs have one, too: neither does a bill of a million rows.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from models.db.engine import NO_ANSWER
from models.errors import Conflict, ServiceError, Unavailable, Unknown
from models.outbox import Lane, Remote, work_of
from models.recovery import is_recovering
from models.review import ReviewKind, ask_person, end_alarm
from models.values import request_id
from payments import outbox, pauses
from payments.outcome import Done, Later, Outcome, Park, Pause
from payments.periodic import Job, run_due
from payments.services import Services

log = structlog.get_logger()

Deliver = Callable[[Services, outbox.Claim], Outcome]
Wait = Callable[[float], object]

# A few: an item whose turn comes late, because others waited for timeouts, needs its lease renewed first.
BATCH = 4
POLL_S = 1.0
# Tries of one item (about an hour) that fail while others succeed: operators are told, and it goes on.
ALONE_AFTER = 60


@dataclass(frozen=True)
class Failed:
    """A try that ended without an outcome; `remote_fault` is what the outside system is blamed for."""

    outcome: Outcome
    error: str
    remote_fault: pauses.Failure | None = None
    bug: bool = False


class Worker:
    """One worker with a name of its own.

    `deliveries` says who does which kind of item, `periodic` what happens at which times. `wait` returns
    when something may be due; `waits` are for the lanes that have a wake-up of their own.
    While a restored database is being recovered only a worker that `recovers` does anything.
    """

    def __init__(
        self,
        services: Services,
        deliveries: Mapping[str, Deliver],
        *,
        wait: Wait,
        waits: Mapping[Lane, Wait] | None = None,
        lease_s: float = outbox.LEASE_S,
        periodic: Mapping[str, Job] | None = None,
        recovers: bool = False,
    ) -> None:
        self._services = services
        self._deliveries = dict(deliveries)
        self._wait = wait
        self._waits = dict(waits or {})
        self._lease_s = lease_s
        self._periodic = dict(periodic or {})
        self._recovers = recovers
        self._threads = threads_of(deliveries)
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    def run_once(self) -> int:
        """Do one batch of each thread, money first. Returns: how many items were leased."""
        return sum(self._batch(kinds) for kinds in self._threads.values())

    def run(self, stopped: threading.Event) -> None:
        """Work until `stopped` is set; waits for a wake-up, at most a second, when nothing is due."""
        rounds: list[tuple[str, Callable[[], int], Wait]] = [("periodic", self.run_periodic, stopped.wait)]
        woken: set[Lane] = set()
        for (lane, system), kinds in self._threads.items():
            # One thread of a lane is woken; work of the others is planned for later anyway.
            wait = stopped.wait if lane in woken else self._waits.get(lane, self._wait)
            woken.add(lane)
            rounds.append((f"{lane}-{system}", self._round_of(kinds), wait))
        threads = [
            threading.Thread(target=_repeat, args=(round_, wait, stopped), name=name, daemon=True)
            for name, round_, wait in rounds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_periodic(self) -> int:
        """Do the periodic jobs that are due, one after the other. Returns: how many ran."""
        with self._services.reading() as session:
            if is_recovering(session):
                return 0
        return run_due(self._services, self._periodic)

    def _round_of(self, kinds: tuple[str, ...]) -> Callable[[], int]:
        return lambda: self._batch(kinds)

    def _batch(self, kinds: tuple[str, ...]) -> int:
        held, failing = self._claim(kinds)
        leased_at = self._services.clock()
        for item in held:
            # Earlier items took long? Without a fresh lease another worker may start this one.
            late = self._services.clock() - leased_at > timedelta(seconds=self._lease_s / 3)
            leased = self._renew(item) if late else item
            if leased is not None:
                self._deal_with(leased, failing)
        return len(held)

    def _claim(self, kinds: tuple[str, ...]) -> tuple[list[outbox.Claim], set[Remote]]:
        """Lease a batch, and of what is paused one probe each. Returns: it, and which systems fail."""
        with self._services.transaction() as session:
            if is_recovering(session) and not self._recovers:
                return [], set()
            now = self._services.clock()
            failing = pauses.current(session)
            paused = {remote for remote, row in failing.items() if pauses.is_paused(row)}
            free = [kind for kind in kinds if work_of(kind).remote not in paused]
            held = self._lease(session, free, BATCH)
            for remote in paused:
                waiting = [kind for kind in kinds if work_of(kind).remote == remote]
                probe_at = failing[remote].probe_at
                if waiting and probe_at is not None and probe_at <= now:
                    probe = self._lease(session, waiting, 1)
                    if probe:
                        pauses.take_probe(session, remote, now=now)
                    held += probe
            return held, set(failing)

    def _lease(self, session: Session, kinds: list[str], limit: int) -> list[outbox.Claim]:
        now = self._services.clock()
        return outbox.claim(session, self.owner, now=now, limit=limit, kinds=kinds, lease_s=self._lease_s)

    def _renew(self, item: outbox.Claim) -> outbox.Claim | None:
        try:
            with self._services.transaction() as session:
                return outbox.renew(session, item, now=self._services.clock(), lease_s=self._lease_s)
        except Conflict:
            return None

    def _deal_with(self, item: outbox.Claim, failing: set[Remote]) -> None:
        """Try the item and write down the outcome, in the logging context of the request behind it."""
        with request_id.bound(item.request_id):
            self._try_and_settle(item, failing)

    def _try_and_settle(self, item: outbox.Claim, failing: set[Remote]) -> None:
        try:
            ended = self._tried(item)
        except Exception as error:
            log.exception("delivery_failed", kind=item.kind, key=item.key)
            ended = self._bug(item, error)
        try:
            self._settle(item, ended, failing)
            # No key: those of messages name their recipient.
            log.info("item_tried", kind=item.kind, item=item.id, ended=_name_of(ended))
        except Conflict:
            # The lease ran out while we worked: whoever has it now repeats the work safely.
            log.warning("lease_lost", kind=item.kind, key=item.key)
        except NO_ANSWER as error:
            # The lease runs out, and the item is taken again; the rest of the batch is not to blame.
            log.warning("item_left", kind=item.kind, key=item.key, error=type(error).__name__)

    def _tried(self, item: outbox.Claim) -> Outcome | Failed:
        try:
            return self._deliveries[item.kind](self._services, item)
        except (Unknown, Unavailable) as error:
            return self._no_answer(item, error)
        except Conflict as error:
            return Failed(self._later(item), f"Conflict: {error}")
        except NO_ANSWER as error:
            log.warning("database_trouble", kind=item.kind, key=item.key, error=type(error).__name__)
            return Failed(self._later(item), f"database: {type(error).__name__}")
        except ServiceError as error:
            reason = f"{type(error).__name__}: {error}"
            # Several messages in a row that are refused alike: that is the account, not the messages.
            message = work_of(item.kind).lane == Lane.MESSAGE
            fault = self._fault(item, type(error).__name__) if message else None
            return Failed(Park(reason, asked=False), reason, fault)

    def _no_answer(self, item: outbox.Claim, error: ServiceError) -> Outcome | Failed:
        reason = f"{type(error).__name__}: {error}"
        if work_of(item.kind).lane == Lane.MESSAGE and item.attempts >= outbox.FAILURES_MAX:
            return Done("given up: it may have been sent")
        return Failed(self._later(item), reason, self._fault(item, reason))

    def _bug(self, item: outbox.Claim, error: Exception) -> Failed:
        name = type(error).__name__
        if item.failures + 1 >= outbox.FAILURES_MAX and item.kind != "settle":
            return Failed(Park(f"given up after {item.failures + 1} failures: {name}", asked=False), name)
        return Failed(self._later(item), name, bug=True)

    def _later(self, item: outbox.Claim) -> Later:
        wait_s = outbox.backoff_s(item.attempts, kind=item.kind)
        return Later(self._services.clock() + timedelta(seconds=wait_s))

    def _fault(self, item: outbox.Claim, reason: str) -> pauses.Failure:
        return pauses.Failure(f"{item.kind}:{item.key}", reason)

    def _settle(self, item: outbox.Claim, ended: Outcome | Failed, failing: set[Remote]) -> None:
        """Write down how the try ended, and what that says about the outside system."""
        now = self._services.clock()
        failed = ended if isinstance(ended, Failed) else None
        with self._services.transaction() as session:
            outcome = self._judged(session, item, ended, failing)
            match outcome:
                case Done(note):
                    outbox.finish(session, item, now=now, note=note)
                    if item.attempts >= ALONE_AFTER:
                        end_alarm(session, ReviewKind.JOB_FAILED, _question(item), now=now)
                case Later(at):
                    error, bug = (failed.error, failed.bug) if failed else (None, False)
                    outbox.postpone(session, item, now=now, due_at=at, error=error, failed=bug)
                case Pause(reason, at):
                    outbox.postpone(session, item, now=now, due_at=at, error=reason)
                case Park(reason, asked):
                    outbox.park(session, item, now=now, error=reason)
                    if not asked:
                        self._ask(session, item, reason)
                    log.error("parked", kind=item.kind, key=item.key, reason=reason)

    def _judged(
        self, session: Session, item: outbox.Claim, ended: Outcome | Failed, failing: set[Remote]
    ) -> Outcome:
        """Tell the pauses how the outside system did. Returns: what becomes of the item."""
        now, remote = self._services.clock(), work_of(item.kind).remote
        outcome = ended.outcome if isinstance(ended, Failed) else ended
        if remote is None:
            return outcome
        if isinstance(outcome, Pause):
            fault = pauses.Failure(
                _question(item), outcome.reason, whole=True, until=outcome.until, alarm=outcome.alarm
            )
            pauses.note_failure(session, remote, fault, now=now)
        elif not isinstance(ended, Failed):
            if remote in failing:
                pauses.note_success(session, remote, now=now)
        elif ended.remote_fault is not None:
            row = pauses.note_failure(session, remote, ended.remote_fault, now=now)
            if pauses.is_paused(row):
                return self._later(item)
            alone = row.alarmed_at is None and item.attempts >= ALONE_AFTER
            if alone and not isinstance(outcome, Park):
                self._ask(session, item, ended.error)
        return outcome

    def _ask(self, session: Session, item: outbox.Claim, reason: str) -> None:
        ask_person(
            session,
            ReviewKind.JOB_FAILED,
            _question(item),
            order_id=None,
            amount_fen=None,
            now=self._services.clock(),
            job=item.kind,
            number=item.key,
            reason=reason,
        )


def threads_of(deliveries: Mapping[str, Deliver]) -> dict[tuple[Lane, str], tuple[str, ...]]:
    """Return the kinds that each thread works on, money first and credits before all.

    Billing has a thread of its own; what else money needs (WeChat Pay, our own tables) shares another one.
    """
    found: dict[tuple[Lane, str], tuple[str, ...]] = {}
    order = sorted(deliveries, key=lambda kind: (_place(kind), kind))
    for kind in order:
        place = _place(kind)
        name = (work_of(kind).lane, "billing" if place == 0 else "other")
        found[name] = (*found.get(name, ()), kind)
    return found


def _place(kind: str) -> int:
    work = work_of(kind)
    if work.lane == Lane.MESSAGE:
        return 2
    return 0 if work.remote == Remote.BILLING else 1


def _name_of(ended: Outcome | Failed) -> str:
    outcome = ended.outcome if isinstance(ended, Failed) else ended
    return type(outcome).__name__.lower()


def _question(item: outbox.Claim) -> str:
    return f"{item.kind}:{item.key}"


def _repeat(round_: Callable[[], int], wait: Wait, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            busy = round_()
        except Exception:
            log.exception("worker_round_failed")
            busy = 0
            stopped.wait(POLL_S)
        if not busy and not stopped.is_set():
            wait(POLL_S)
