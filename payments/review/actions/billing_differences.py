"""Differences between our books and billing: repeat a missing call, undo one too many, correct an amount."""

from __future__ import annotations

from typing import Any

from billing.interface import MoneyCall
from models.errors import IllegalTransition
from models.order import Credit
from models.review import ReviewKind
from payments.reconcile.billing.expected import known_movements
from payments.reconcile.billing.repair import order_call
from payments.reconcile.ours import known_credits
from payments.reconcile.result import Kind
from payments.review.actions.base import Action, Decision

MISSING = (Kind.MOVEMENT_MISSING, Kind.CREDIT_MISSING)
TOO_MANY = (Kind.MOVEMENT_UNEXPECTED, Kind.MOVEMENT_TWICE, Kind.CREDIT_UNEXPECTED, Kind.DOUBLE_CREDIT)
OTHER_AMOUNT = (Kind.MOVEMENT_DIFFERS, Kind.CREDIT_DIFFERS)
UNDO = "uu"


def _repeat(decision: Decision) -> None:
    """Billing lacks a call that our books count on: it is made again under its key."""
    facts = _facts(decision, MISSING)
    session = decision.session
    if "credit_no" in facts:
        known_credit = known_credits(session, [str(facts["credit_no"])]).get(str(facts["credit_no"]))
        if known_credit is None:
            raise IllegalTransition("找不到这笔入账")
        _order_credit(decision, known_credit.credit)
        return
    whole_key = f"{facts['call']}:{facts['movement']}"
    known = known_movements(session, [whole_key]).get(whole_key)
    if known is None or not (known.applied or known.job == ("billing-repair", whole_key)):
        raise IllegalTransition("账上已没有这笔业务，不能重发")
    order_call(
        session,
        known.kind,
        known.key,
        account_no=known.account_no,
        amount_fen=known.amount_fen,
        now=decision.services.clock(),
        credit_key=known.credit_key or str(facts.get("credit_key", "")),
        code=known.code or str(facts.get("code", "")),
        item=_item(decision),
    )


def _order_credit(decision: Decision, credit: Credit) -> None:
    order_call(
        decision.session,
        MoneyCall.CREDIT,
        credit.credit_no,
        account_no=credit.account_no,
        amount_fen=credit.amount_fen,
        now=decision.services.clock(),
        item=_item(decision),
    )


def _undo(decision: Decision) -> None:
    """Billing has a call that our books do not count on: a credit is reversed, the others are credited."""
    facts = _facts(decision, TOO_MANY)
    call = MoneyCall(facts.get("call", MoneyCall.CREDIT))
    key = str(facts.get("movement") or facts["credit_no"])
    if call == MoneyCall.EXCHANGE:
        raise IllegalTransition("套餐换购不能在计费系统撤销，请在计费系统处理后结案")
    account_no, amount_fen = _at_billing(facts)
    order_call(
        decision.session,
        MoneyCall.REVERSAL if call == MoneyCall.CREDIT else MoneyCall.CREDIT,
        f"{UNDO}{key}",
        account_no=account_no,
        amount_fen=amount_fen,
        now=decision.services.clock(),
        credit_key=key if call == MoneyCall.CREDIT else "",
        item=_item(decision),
    )


def _correct(decision: Decision) -> None:
    """Billing made the call with another amount: a call of its own moves what is too much or too little."""
    facts = _facts(decision, OTHER_AMOUNT)
    call = MoneyCall(facts.get("call", MoneyCall.CREDIT))
    key = str(facts.get("movement") or facts["credit_no"])
    account_no, billed_fen = _at_billing(facts)
    ours_no, ours_fen = _ours(decision, facts, key)
    if call == MoneyCall.EXCHANGE or account_no != ours_no or billed_fen == ours_fen:
        raise IllegalTransition("账号不同或为套餐换购，不能这样更正，请用调账处理")
    # A credit brings money onto the account, all others take it off.
    onto_fen = ours_fen - billed_fen if call == MoneyCall.CREDIT else billed_fen - ours_fen
    if onto_fen > 0:
        kind = MoneyCall.CREDIT
    else:
        kind = MoneyCall.REVERSAL if call == MoneyCall.CREDIT else MoneyCall.WITHDRAWAL
    order_call(
        decision.session,
        kind,
        f"{UNDO}{key}",
        account_no=account_no,
        amount_fen=abs(onto_fen),
        now=decision.services.clock(),
        credit_key=key if kind == MoneyCall.REVERSAL else "",
        item=_item(decision),
    )


def _ours(decision: Decision, facts: dict[str, Any], key: str) -> tuple[str, int]:
    if facts.get("ours"):
        return str(facts["ours"][0]), int(facts["ours"][1])
    known = known_credits(decision.session, [key]).get(key)
    if known is None:
        raise IllegalTransition("找不到这笔入账")
    return known.credit.account_no, known.credit.amount_fen


def _facts(decision: Decision, kinds: tuple[Kind, ...]) -> dict[str, Any]:
    facts = decision.item.facts
    if facts.get("difference") not in kinds:
        raise IllegalTransition("这个差异不能这样处理")
    return facts


def _at_billing(facts: dict[str, Any]) -> tuple[str, int]:
    listed = facts["billing"]
    if not listed:
        raise IllegalTransition("计费系统的账号和金额不明")
    return str(listed[0][0]), int(listed[0][1])


def _item(decision: Decision) -> dict[str, Any]:
    item = decision.item
    return {
        "key": item.key,
        "order_id": item.order_id,
        "amount_fen": item.amount_fen,
        "facts": dict(item.facts),
    }


_KINDS = frozenset({ReviewKind.BILL_DIFFERENCE})
ACTIONS = {
    "repeat-call": Action(moves_money=True, kinds=_KINDS, carry_out=_repeat),
    "correct-call": Action(moves_money=True, kinds=_KINDS, carry_out=_correct),
    "undo-call": Action(moves_money=True, kinds=_KINDS, carry_out=_undo),
}
