"""The periodic jobs of a worker: what happens at which times."""

from __future__ import annotations

from functools import partial

from app.config import Config
from billing.embedded.accounting import Accounting
from identity import login_sessions, login_states
from payments import alerts, sweep
from payments.audit import book_check, hash_chain, ledger_chain
from payments.counter import confirmation
from payments.periodic import Job, daily, every, monthly
from payments.reconcile import daily as reconcile
from payments.reconcile import monthly as fund_flow
from payments.recovery import journal_copy
from payments.recovery.run import after_watching
from payments.review import queue as reviews
from payments.services import Services

# How often the journal and the ledger are sealed, and how often stuck work is looked for.
SEAL_S = 5
SEAL_LEDGER_S = 600
SWEEP_S = 60
# How often sessions that went silent are looked for.
STALE_S = 300
PURGE_LOGINS_S = 600
# How soon a student hears that the line is fast again, and when money and packages are looked at.
RESTORED_S = 120
ALERTS_HOUR = 10
# Campus time; a quiet hour: all books are read from end to end, and the heads of the chains sent away.
BOOK_CHECK_AT = (4, 10)
BOOK_CHECK_AGAIN_S = 1800
# Campus time; yesterday's bill is ready at ten.
RECONCILE_AT = (10, 10)
RECONCILE_AGAIN_S = 900
# On the first of the month, after the last day of the one before was reconciled.
FUND_FLOW_AT = (10, 40)
FUND_FLOW_AGAIN_S = 3600


def periodic_jobs(config: Config, accounting: Accounting) -> dict[str, Job]:
    """Return every periodic job by name."""
    jobs = {
        **_audit_jobs(),
        # Before the working day: transfers of clerks that no bank list has confirmed in time.
        "transfers": Job(confirmation.ask_about_unconfirmed, daily(7, 30)),
        "sweep": Job(sweep.sweep, every(SWEEP_S)),
        "alerts_restored": Job(alerts.watch_restored, every(RESTORED_S)),
        "alerts_balances": Job(alerts.watch_balances, daily(ALERTS_HOUR, 0)),
        "stale_sessions": Job(partial(_sweep_sessions, accounting), every(STALE_S)),
        "second-payments": Job(reviews.by_policy, every(SWEEP_S)),
        "purge-logins": Job(_purge_logins, every(PURGE_LOGINS_S)),
        "reconcile": Job(
            after_watching(
                partial(reconcile.due_job, foreign_prefixes=config.pay.foreign_prefixes),
                config.backup.journal,
            ),
            daily(*RECONCILE_AT),
            again_s=RECONCILE_AGAIN_S,
        ),
        "fund-flow": Job(
            partial(fund_flow.due_job, foreign_prefixes=config.pay.foreign_prefixes),
            monthly(1, *FUND_FLOW_AT),
            again_s=FUND_FLOW_AGAIN_S,
        ),
    }
    if config.backup.journal is not None:
        copy = partial(journal_copy.copy_rows, path=config.backup.journal)
        jobs["journal-copy"] = Job(copy, every(SEAL_S))
    return jobs


def _sweep_sessions(accounting: Accounting, _services: Services) -> None:
    accounting.sweep()


def _audit_jobs() -> dict[str, Job]:
    return {
        "seal": Job(hash_chain.seal, every(SEAL_S)),
        "seal-ledger": Job(ledger_chain.seal_ledger, every(SEAL_LEDGER_S)),
        "book-check": Job(book_check.nightly, daily(*BOOK_CHECK_AT), again_s=BOOK_CHECK_AGAIN_S),
    }


def _purge_logins(services: Services) -> None:
    with services.transaction() as session:
        login_states.purge(session, now=services.clock())
        login_sessions.purge(session, now=services.clock())
