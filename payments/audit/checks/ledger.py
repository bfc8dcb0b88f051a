"""The embedded ledger, row by row: sums, balances, and the fact behind each entry.

Everything is read in batches of a few hundred rows and short transactions: memory stays flat and the
time grows with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session

from models.account_import import AccountImportRow
from models.adjustment import UNDER_WAY, Adjustment, AdjustmentKind, AdjustmentStatus
from models.db.engine import Database
from models.ledger import Account, Entry, Posting
from models.order import Credit, CreditStatus
from models.package import Purchase
from models.payout import PartStatus, Payout, PayoutPart
from models.refund import Refund, ReversalStatus
from payments.audit.checks.finding import Finding
from payments.audit.keys import AuditKeys
from payments.audit.late_calls import LATE_CREDITS, LATE_PARTS
from payments.audit.ledger_chain import LedgerRun, runs

BATCH = 500
_ACCOUNT = "account:"
BALANCES, ENTRIES, LEDGER_CHAIN = "balances", "entries", "ledger-chain"

# State of what stands behind an entry: sent, or perhaps sent.
_CREDITED = (
    CreditStatus.SENDING,
    CreditStatus.UNKNOWN,
    CreditStatus.MANUAL,
    CreditStatus.CREDITED,
    *LATE_CREDITS,
)
_REVERSED = (ReversalStatus.SENDING, ReversalStatus.UNKNOWN, ReversalStatus.DONE)
_ADJUSTED = (*UNDER_WAY, AdjustmentStatus.DONE)
_WITHDRAWN = (
    PartStatus.SENDING,
    PartStatus.UNKNOWN,
    PartStatus.WITHDRAWN,
    PartStatus.LISTED,
    PartStatus.PAID,
    *LATE_PARTS,
)


@dataclass(frozen=True)
class Fact:
    """What stands behind an entry: whose account, and how much was put on it (+) or taken off (-)."""

    account_no: str
    amount_fen: int


Facts = Callable[[Session, Sequence[str]], Mapping[str, Fact]]


def check_balances(database: Database) -> Iterator[Finding]:
    """Each account's balance is the sum of its postings."""
    summed = (
        select(func.coalesce(func.sum(Posting.amount_fen), 0))
        .where(Posting.book == _ACCOUNT + Account.account_no)
        .scalar_subquery()
    )
    # One statement sees one moment: a credit of this very second is in both columns or in neither.
    query = select(Account.account_no, Account.balance_fen, cast(summed, BigInteger))
    after = ""
    while True:
        with database.reading() as session:
            batch = session.execute(
                query.where(Account.account_no > after).order_by(Account.account_no).limit(BATCH)
            ).all()
        for account_no, balance_fen, sum_fen in batch:
            if balance_fen != sum_fen:
                text = f"the balance of {account_no} is {balance_fen} fen, its entries sum to {sum_fen}"
                yield Finding(BALANCES, account_no, text, (account_no,))
        if len(batch) < BATCH:
            return
        after = batch[-1][0]


def check_entries(database: Database, keys: AuditKeys) -> Iterator[Finding]:
    """Each entry is as it was sealed, sums to zero, and has its credit, refund, payout or purchase."""
    for run in runs(database, keys):
        accounts = sorted({account_no for legs in run.postings.values() for account_no in _accounts(legs)})
        if run.fault:
            yield Finding(LEDGER_CHAIN, run.place, run.fault, tuple(accounts))
        with database.reading() as session:
            known = set(session.scalars(select(Account.account_no).where(Account.account_no.in_(accounts))))
            yield from _check_sums(run, known)
            yield from _check_facts(session, run)


def _check_sums(run: LedgerRun, known: set[str]) -> Iterator[Finding]:
    keys = {entry.id: entry.key for entry in run.entries}
    for entry_id, legs in run.postings.items():
        key, accounts = keys.get(entry_id), _accounts(legs)
        if key is None:
            ids = ", ".join(str(leg.id) for leg in legs)
            yield Finding(ENTRIES, f"posting {legs[0].id}", f"postings {ids} belong to no entry", accounts)
        elif total := sum(leg.amount_fen for leg in legs):
            yield Finding(ENTRIES, key, f"the legs of {key} sum to {total} fen", accounts)
        for missing in sorted(set(accounts) - known):
            yield Finding(
                ENTRIES, f"{key} {missing}", f"{key} is on {missing}, which is no account", (missing,)
            )
    for entry_id in keys.keys() - run.postings.keys():
        # Whose they were, the balances and the records behind the entry tell.
        yield Finding(ENTRIES, keys[entry_id], f"{keys[entry_id]} has no postings", holds=False)


def _check_facts(session: Session, run: LedgerRun) -> Iterator[Finding]:
    by_kind: dict[str, list[Entry]] = {}
    for entry in run.entries:
        by_kind.setdefault(entry.kind, []).append(entry)
    for kind, entries in by_kind.items():
        if kind in UNCHECKED:
            continue
        facts_of = FACTS.get(kind)
        prefix = f"{kind}:"
        numbers = [entry.key.removeprefix(prefix) for entry in entries if entry.key.startswith(prefix)]
        facts = {} if facts_of is None else facts_of(session, numbers)
        for entry in entries:
            fact = facts.get(entry.key.removeprefix(prefix)) if entry.key.startswith(prefix) else None
            yield from _compare(entry, run.postings.get(entry.id, []), fact)


def _compare(entry: Entry, legs: Sequence[Posting], fact: Fact | None) -> Iterator[Finding]:
    put = sorted(
        (leg.book.removeprefix(_ACCOUNT), leg.amount_fen) for leg in legs if leg.book.startswith(_ACCOUNT)
    )
    accounts = {account_no for account_no, _ in put}
    if fact is None:
        total = sum(amount_fen for _, amount_fen in put)
        whose = ", ".join(sorted(accounts)) or "no account"
        text = f"{entry.key} ({total} fen on {whose}) has nothing behind it"
        yield Finding(ENTRIES, entry.key, text, tuple(sorted(accounts)))
    elif put != [(fact.account_no, fact.amount_fen)]:
        said = ", ".join(f"{amount_fen} fen on {account_no}" for account_no, amount_fen in put)
        text = f"{entry.key} is {said or 'empty'}, our records say {fact.amount_fen} fen on {fact.account_no}"
        yield Finding(ENTRIES, entry.key, text, tuple(sorted({*accounts, fact.account_no})))


def check_written(database: Database) -> Iterator[Finding]:
    """Each credit, reversal, withdrawal and purchase of ours has its entry in the ledger."""
    for kind, row_id, query in _WRITTEN:
        after = 0
        while True:
            with database.reading() as session:
                batch = session.execute(query.where(row_id > after).order_by(row_id).limit(BATCH)).all()
                keys = [f"{kind}:{number}" for _, number, _ in batch]
                known = set(session.scalars(select(Entry.key).where(Entry.key.in_(keys))))
            for key, (_, _, account_no) in zip(keys, batch, strict=True):
                if key not in known:
                    yield Finding(ENTRIES, key, f"the ledger has no {key} for {account_no}", (account_no,))
            if len(batch) < BATCH:
                break
            after = batch[-1][0]


def _accounts(legs: Iterable[Posting]) -> tuple[str, ...]:
    found = {leg.book.removeprefix(_ACCOUNT) for leg in legs if leg.book.startswith(_ACCOUNT)}
    return tuple(sorted(found))


def _credits(session: Session, numbers: Sequence[str]) -> Mapping[str, Fact]:
    query = select(Credit.credit_no, Credit.account_no, Credit.amount_fen)
    found = _facts(session, query.where(Credit.credit_no.in_(numbers), Credit.status.in_(_CREDITED)), 1)
    undone = (
        select(PayoutPart.undo_key, Payout.account_no, PayoutPart.amount_fen)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(
            PayoutPart.undo_key.in_(numbers),
            PayoutPart.status.in_((PartStatus.RETURNING, PartStatus.RETURNED)),
        )
    )
    return found | _adjusted(session, numbers, AdjustmentKind.PUT_BACK) | _facts(session, undone, 1)


def _adjustments(session: Session, numbers: Sequence[str]) -> Mapping[str, Fact]:
    return _adjusted(session, numbers, AdjustmentKind.GENERAL)


def _adjusted(session: Session, numbers: Sequence[str], kind: AdjustmentKind) -> dict[str, Fact]:
    query = select(Adjustment.adjustment_no, Adjustment.account_no, Adjustment.amount_fen)
    return _facts(
        session,
        query.where(
            Adjustment.adjustment_no.in_(numbers), Adjustment.kind == kind, Adjustment.status.in_(_ADJUSTED)
        ),
        1,
    )


def _reversals(session: Session, numbers: Sequence[str]) -> Mapping[str, Fact]:
    query = (
        select("v" + Refund.out_refund_no, Credit.account_no, Refund.amount_fen)
        .join(Credit, Credit.order_id == Refund.order_id)
        .where(
            Refund.out_refund_no.in_([number.removeprefix("v") for number in numbers]),
            Refund.reversal.in_(_REVERSED),
        )
    )
    undone = select(Credit.undo_key, Credit.account_no, Credit.amount_fen).where(
        Credit.undo_key.in_(numbers),
        Credit.status.in_((CreditStatus.TAKING_BACK, CreditStatus.TAKEN_BACK)),
    )
    return _facts(session, query, -1) | _facts(session, undone, -1)


def _withdrawals(session: Session, numbers: Sequence[str]) -> Mapping[str, Fact]:
    query = (
        select(PayoutPart.part_no, Payout.account_no, PayoutPart.amount_fen)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(PayoutPart.part_no.in_(numbers), PayoutPart.status.in_(_WITHDRAWN))
    )
    return _facts(session, query, -1)


def _purchases(session: Session, numbers: Sequence[str]) -> Mapping[str, Fact]:
    query = select(Purchase.key, Purchase.account_no, Purchase.price_fen)
    return _facts(session, query.where(Purchase.key.in_(numbers)), -1)


def _facts(session: Session, query: Any, sign: int) -> dict[str, Fact]:
    return {number: Fact(account_no, sign * fen) for number, account_no, fen in session.execute(query)}


# What stands behind the entries of each kind, by the number in their keys `<kind>:<number>`.
FACTS: dict[str, Facts] = {
    "credit": _credits,
    "reversal": _reversals,
    "withdrawal": _withdrawals,
    "exchange": _purchases,
    "adjustment": _adjustments,
}
# Opening entries are checked against their imports (`openings`).
UNCHECKED = frozenset({"opening"})


def _done(kind: AdjustmentKind) -> Any:
    return select(Adjustment.id, Adjustment.adjustment_no, Adjustment.account_no).where(
        Adjustment.kind == kind, Adjustment.status == AdjustmentStatus.DONE
    )


# What must be in the ledger: kind, row id, and (row id, number, account).
_WRITTEN: tuple[tuple[str, Any, Any], ...] = (
    (
        "credit",
        Credit.id,
        select(Credit.id, Credit.credit_no, Credit.account_no).where(Credit.status == CreditStatus.CREDITED),
    ),
    (
        "reversal",
        Refund.id,
        select(Refund.id, "v" + Refund.out_refund_no, Credit.account_no)
        .join(Credit, Credit.order_id == Refund.order_id)
        .where(Refund.reversal == ReversalStatus.DONE),
    ),
    (
        "withdrawal",
        PayoutPart.id,
        select(PayoutPart.id, PayoutPart.part_no, Payout.account_no)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(
            PayoutPart.status.in_((PartStatus.WITHDRAWN, PartStatus.LISTED, PartStatus.PAID)),
            # Money that a refund could not return was taken off the account by the refund.
            PayoutPart.order_id.is_(None),
        ),
    ),
    ("adjustment", Adjustment.id, _done(AdjustmentKind.GENERAL)),
    ("credit", Adjustment.id, _done(AdjustmentKind.PUT_BACK)),
    ("exchange", Purchase.id, select(Purchase.id, Purchase.key, Purchase.account_no)),
    (
        "opening",
        AccountImportRow.id,
        select(AccountImportRow.id, AccountImportRow.account_no, AccountImportRow.account_no).where(
            AccountImportRow.opened_at.is_not(None), AccountImportRow.balance_fen > 0
        ),
    ),
)
