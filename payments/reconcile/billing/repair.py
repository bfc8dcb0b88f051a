"""Calls to billing that two operators decided on: a missing one is repeated, a wrong one undone.

At least once by the outbox, exactly once by its key, and in doubt until billing has answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, ExchangeReceipt, MoneyCall
from models import journal
from models.errors import Mismatch, Refused, Unavailable, Unknown
from models.outbox import OutboxItem
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.billing_call import Answer, Applied, BillingCall, InDoubt, NotApplied, carry_out, prepare
from payments.outcome import Done, Later, Outcome, Park
from payments.reconcile.billing.expected import REPAIR
from payments.services import Services

KIND = REPAIR
ACTOR = "worker"

Receipt = CreditReceipt | ExchangeReceipt


def order_call(
    session: Session,
    kind: MoneyCall,
    key: str,
    *,
    account_no: str,
    amount_fen: int,
    now: datetime,
    credit_key: str = "",
    code: str = "",
    item: dict[str, Any],
) -> None:
    """Let the call be made after this commit; decided once more after a refusal, it is made again.

    Args:
        item: kind and key of the review item, with its facts, to ask again if billing refuses.
    Raises: PayloadDiffers - the call was decided on before, with another account or amount.
    """
    payload = {
        "kind": str(kind),
        "key": key,
        "account_no": account_no,
        "amount_fen": amount_fen,
        "credit_key": credit_key,
        "code": code,
        "item": item,
    }
    whole_key = f"{kind}:{key}"
    query = select(OutboxItem.payload).where(OutboxItem.kind == KIND, OutboxItem.key == whole_key)
    known = session.scalar(query)
    if known is None:
        outbox.put(session, KIND, whole_key, payload, now=now)
    elif any(known[name] != payload[name] for name in ("account_no", "amount_fen", "credit_key", "code")):
        raise outbox.PayloadDiffers
    outbox.revive(session, KIND, whole_key, now=now)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `billing-repair`; its key is `kind:key` of the call.

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again and queries first;
        Mismatch - billing applied another amount under this key; Conflict - another worker has the job.
    """
    facts = dict(held.payload)
    doubt = facts.get("doubt_from")
    earlier = None if doubt is None else datetime.fromisoformat(doubt)
    ref = facts.get("ref")
    if earlier is None:
        kind, account_no, fen = MoneyCall(facts["kind"]), facts["account_no"], facts["amount_fen"]
        ref = ref or prepare(services, kind, account_no, fen, key=facts["key"])
        _note_doubt(services, held, held.leased_until, ref)
    answer: Answer[Any] = carry_out(services, held, _call(services, held, facts, earlier, ref))
    return _record(services, held, facts, answer)


def _call(
    services: Services, held: outbox.Claim, facts: dict[str, Any], earlier: datetime | None, ref: str | None
) -> BillingCall[Any]:
    billing, kind = services.billing, MoneyCall(facts["kind"])
    account_no, fen, key = facts["account_no"], facts["amount_fen"], facts["key"]

    def send(prepared: str | None) -> Receipt:
        match kind:
            case MoneyCall.CREDIT:
                return billing.credit(account_no, fen, key=key, ref=prepared)
            case MoneyCall.REVERSAL:
                credit_key = facts["credit_key"]
                return billing.reverse(account_no, fen, key=key, credit_key=credit_key, ref=prepared)
            case MoneyCall.WITHDRAWAL:
                return billing.withdraw(account_no, fen, key=key, ref=prepared)
            case MoneyCall.EXCHANGE:
                return billing.exchange(account_no, facts["code"], key=key, price_fen=fen, ref=prepared)

    def find(prepared: str | None) -> Receipt | None:
        finders = {
            MoneyCall.CREDIT: billing.find_credit,
            MoneyCall.REVERSAL: billing.find_reversal,
            MoneyCall.WITHDRAWAL: billing.find_withdrawal,
            MoneyCall.EXCHANGE: billing.find_exchange,
        }
        receipt = finders[kind](account_no, key, ref=prepared)
        if receipt is not None and _fen(receipt) != fen:
            raise Mismatch("repair_amount", key)
        return receipt

    return BillingCall(
        kind=kind,
        account_no=account_no,
        key=key,
        send=send,
        find=find,
        again=lambda: _note_doubt(services, held, held.leased_until, ref),
        doubt_from=earlier,
        ref=ref,
    )


def _fen(receipt: Receipt) -> int:
    return receipt.price_fen if isinstance(receipt, ExchangeReceipt) else receipt.amount_fen


def _note_doubt(services: Services, held: outbox.Claim, doubt: datetime | None, ref: str | None) -> None:
    """Write down, before a call, that it may be on its way; only while the lease runs."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        row = session.get_one(OutboxItem, held.id, populate_existing=True)
        row.payload = {**row.payload, "doubt_from": None if doubt is None else doubt.isoformat(), "ref": ref}


def _record(services: Services, held: outbox.Claim, facts: dict[str, Any], answer: Answer[Any]) -> Outcome:
    now, ref = services.clock(), facts.get("ref")
    match answer:
        case Applied():
            with services.transaction() as session:
                row = session.get_one(OutboxItem, held.id, populate_existing=True)
                row.payload = {**row.payload, "applied": True}
                _journal(session, "billing-repaired", facts, now)
            return Done()
        case NotApplied(Refused() as refusal):
            with services.transaction() as session:
                outbox.insist(session, held, now=now)
                _ask_again(session, facts, refusal.code, now)
                _journal(session, "billing-not-repaired", facts, now, reason=refusal.code)
            _note_doubt(services, held, None, None)
            return Done(f"billing refused: {refusal.code}")
        case NotApplied(error):
            _note_doubt(services, held, None, ref)
            raise error
        case InDoubt(doubt, error, again_at):
            _note_doubt(services, held, doubt, ref)
            if isinstance(error, Unknown | Unavailable):
                raise error
            return Later(again_at or now + timedelta(seconds=outbox.backoff_s(held.attempts)))
        case other:
            with services.transaction() as session:
                outbox.insist(session, held, now=now)
                _ask_again(session, facts, other.reason, now)
            return Park(other.reason)


def _ask_again(session: Session, facts: dict[str, Any], reason: str, now: datetime) -> None:
    """The difference is still there: the item that this call was decided on opens again."""
    item = facts["item"]
    ask_person(
        session,
        ReviewKind.BILL_DIFFERENCE,
        item["key"],
        order_id=item["order_id"],
        amount_fen=item["amount_fen"],
        now=now,
        **{**item["facts"], "reason": reason},
    )


def _journal(session: Session, what: str, facts: dict[str, Any], now: datetime, **more: str) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=ACTOR,
        now=now,
        call=facts["kind"],
        key=facts["key"],
        account_no=facts["account_no"],
        amount_fen=facts["amount_fen"],
        **more,
    )
