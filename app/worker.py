"""The worker: `run_once` does what is due, `run_periodic` what the hour asks for, `run` repeats both.

Any number of workers may run; leases in the outbox keep them from doing the same work twice.
Periodic jobs have a thread of their own: a bill of a million rows must not keep a payment waiting.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from models.errors import Conflict, ServiceError, Unavailable, Unknown
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.outcome import Done, Later, Outcome, Park
from payments.periodic import Job, run_due
from payments.services import Services

log = structlog.get_logger()

Deliver = Callable[[Services, outbox.Claim], Outcome]

# A few: an item whose turn comes late, because others waited for time-outs, needs its lease renewed first.
BATCH = 4
POLL_S = 1.0


class Worker:
    """One worker with a name of its own.

    `deliveries` says who does which kind of item, `periodic` what happens at which times.
    """

    def __init__(
        self,
        services: Services,
        deliveries: Mapping[str, Deliver],
        *,
        wait: Callable[[float], object],
        lease_s: float = outbox.LEASE_S,
        periodic: Mapping[str, Job] | None = None,
    ) -> None:
        self._services = services
        self._deliveries = dict(deliveries)
        self._wait = wait
        self._lease_s = lease_s
        self._periodic = dict(periodic or {})
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    def run_once(self) -> int:
        """Lease one batch and deal with it. Returns: how many items were leased."""
        with self._services.transaction() as session:
            held = outbox.claim(
                session,
                self.owner,
                now=self._services.clock(),
                limit=BATCH,
                kinds=list(self._deliveries),
                lease_s=self._lease_s,
            )
        leased_at = self._services.clock()
        for item in held:
            # Earlier items took long? Without a fresh lease somebody else may start this one.
            late = self._services.clock() - leased_at > timedelta(seconds=self._lease_s / 3)
            leased = self._renew(item) if late else item
            if leased is not None:
                self._deal_with(leased)
        return len(held)

    def run(self, stopped: threading.Event) -> None:
        """Work until `stopped` is set; waits for a wake-up, at most a second, when nothing is due."""
        jobs = threading.Thread(
            target=_repeat, args=(self.run_periodic, stopped.wait, stopped), name="periodic", daemon=True
        )
        jobs.start()
        _repeat(self.run_once, self._wait, stopped)
        jobs.join()

    def run_periodic(self) -> int:
        """Do the periodic jobs that are due, one after the other. Returns: how many ran."""
        return run_due(self._services, self._periodic)

    def _renew(self, item: outbox.Claim) -> outbox.Claim | None:
        try:
            with self._services.transaction() as session:
                return outbox.renew(session, item, now=self._services.clock(), lease_s=self._lease_s)
        except Conflict:
            return None

    def _deal_with(self, item: outbox.Claim) -> None:
        try:
            outcome = self._deliveries[item.kind](self._services, item)
        except (Unknown, Unavailable, Conflict) as error:
            outcome = self._again(item, error)
        except ServiceError as error:
            outcome = Park(f"{type(error).__name__}: {error}", asked=False)
        except Exception as error:
            log.exception("delivery_failed", kind=item.kind, key=item.key)
            outcome = self._again(item, error)
        try:
            self._settle(item, outcome)
        except Conflict:
            # The lease ran out while we worked: whoever has it now repeats the work safely.
            log.warning("lease_lost", kind=item.kind, key=item.key)

    def _again(self, item: outbox.Claim, error: Exception) -> Outcome:
        if item.attempts >= outbox.ATTEMPTS_MAX and item.kind != "settle":
            return Park(f"given up after {item.attempts} tries: {type(error).__name__}", asked=False)
        return Later(self._services.clock() + timedelta(seconds=outbox.backoff_s(item.attempts)))

    def _settle(self, item: outbox.Claim, outcome: Outcome) -> None:
        now = self._services.clock()
        with self._services.transaction() as session:
            match outcome:
                case Done(note):
                    outbox.finish(session, item, now=now, note=note)
                case Later(at):
                    outbox.postpone(session, item, now=now, due_at=at, error=None)
                case Park(reason, asked):
                    outbox.park(session, item, now=now, error=reason)
                    if not asked:
                        ask_person(
                            session,
                            ReviewKind.JOB_FAILED,
                            f"{item.kind}:{item.key}",
                            order_id=None,
                            amount_fen=None,
                            now=now,
                            job=item.kind,
                            number=item.key,
                            reason=reason,
                        )
                    log.error("parked", kind=item.kind, key=item.key, reason=reason)


def _repeat(round_: Callable[[], int], wait: Callable[[float], object], stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            busy = round_()
        except Exception:
            log.exception("worker_round_failed")
            busy = 0
            stopped.wait(POLL_S)
        if not busy and not stopped.is_set():
            wait(POLL_S)
