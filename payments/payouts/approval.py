"""Money out at graduation: one person asks, another approves, each part goes back its own way.

A part through WeChat is a refund like any other; a part for the bank is taken off the account first
(`payments.payouts.delivery`) and then stands on a list for finance (`payments.payouts.transfer_list`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import journal
from models.errors import IllegalTransition, Refused
from models.payout import (
    PartStatus,
    PartWay,
    Payout,
    PayoutPart,
    PayoutStatus,
    check_payout,
    decide_payout,
    move_part,
)
from models.refund import Refund
from models.values.actor import Actor
from payments import numbers, outbox
from payments.audit import holds
from payments.counter.desk import check_owner
from payments.payouts.plan import Plan, preview
from payments.refunds import approval as refunds
from payments.refunds.approval import SamePerson, Wanted
from payments.services import Services

REASON = "校园网退费"
BANK_ACCOUNT = re.compile(r"[0-9]{8,30}")
BANK_NAME_MAX = 64


class NoSuchPayout(Refused):
    """No payout, or no part of one, has this number."""

    status = 404
    code = "E-PAYOUT"

    def __init__(self, text: str = "没有这笔退费申请") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class PartView:
    """One part: `state` is its own, or its refund's; `list_no` names the list for the bank that it is on."""

    part_no: str
    way: PartWay
    amount_fen: int
    state: str
    list_no: str | None = None


@dataclass(frozen=True)
class PayoutView:
    """A payout and how far its parts are; the bank account is masked. `withdrawn`: by the owner."""

    payout_no: str
    account_no: str
    amount_fen: int
    status: PayoutStatus
    requested_by: str
    created_at: datetime
    bank_account: str
    by_owner: bool
    checked_by: str | None
    withdrawn: bool
    parts: tuple[PartView, ...]


def request(
    services: Services,
    *,
    account_no: str,
    payee: str,
    actor: Actor,
    bank_name: str = "",
    bank_account: str = "",
    by_owner: bool = False,
) -> PayoutView:
    """Ask for all that is refundable now; nothing moves before somebody else approves.

    Args:
        by_owner: the owner asks, logged in: two operators have to agree then, not one.
        payee: the full name of the account's owner: money goes to nobody else.
        bank_name, bank_account: needed when WeChat cannot give all of it back.
    Raises: NameMismatch, LimitReached; IllegalTransition - another request waits; Refused - nothing to
        pay out, or bank details are missing; AccountHeld; Unavailable.
    """
    # A closed account takes no money, but what is on it can be paid out.
    check_owner(services, actor=actor, account_no=account_no, name=payee, closed=True)
    account_no = services.billing.balance(account_no).account_no
    with services.reading() as session:
        holds.require_none(session, account_no)
    plan = preview(services, account_no)
    if plan.formula.refundable_fen <= 0:
        raise Refused("账户没有可退金额")
    bank_name, bank_account = bank_name.strip(), "".join(bank_account.split())
    _check_bank(services, plan, bank_name, bank_account)
    now = services.clock()
    payout = Payout(
        payout_no=f"p{numbers.new_order_no(now)[1:]}",
        open_key=account_no,
        account_no=account_no,
        amount_fen=plan.formula.refundable_fen,
        formula=asdict(plan.formula),
        status=PayoutStatus.REQUESTED,
        payee=payee.strip(),
        bank_name=bank_name if plan.by_bank_fen else "",
        bank_account=bank_account if plan.by_bank_fen else "",
        requested_by=actor.name,
        by_owner=by_owner,
        created_at=now,
        changed_at=now,
    )
    try:
        with services.transaction() as session:
            session.add(payout)
            session.flush()  # the parts need its id; a second open request of this account fails here
            session.add_all(_parts(payout, plan, now))
            _note(session, payout, "payout-requested", actor=actor, now=now)
    except IntegrityError:
        raise IllegalTransition("该账号已有待审批的退费申请") from None
    return look(services, payout.payout_no)


def ask_as_owner(
    services: Services, *, account_no: str, payee: str, bank_name: str, bank_account: str
) -> PayoutView:
    """As `request`, by the owner of the account. Raises: as `request`."""
    return request(
        services,
        account_no=account_no,
        payee=payee,
        actor=owner_of(account_no),
        bank_name=bank_name,
        bank_account=bank_account,
        by_owner=True,
    )


def owner_of(account_no: str) -> Actor:
    """Return the actor that the owner of this account is."""
    return Actor(f"本人 {account_no}")


def approve(services: Services, *, payout_no: str, actor: Actor) -> PayoutView:
    """Let a payout happen; the workers do it. What the owner asked for is checked by a first operator so.

    Raises: NoSuchPayout, SamePerson; IllegalTransition - not waiting, or the account holds less by now;
        Refused - WeChat's limits; AccountHeld - its books are in question; Unavailable.
    """
    waiting = look(services, payout_no)
    if preview(services, waiting.account_no).formula.refundable_fen < waiting.amount_fen:
        raise IllegalTransition("可退金额已少于申请金额，请驳回后重新申请")
    now = services.clock()
    with services.transaction() as session:
        payout = _locked(session, payout_no)
        if payout.by_owner and payout.checked_by is None:
            check_payout(session, payout, actor=actor.name, now=now)
            _note(session, payout, "payout-checked", actor=actor, now=now)
        else:
            _agree_to(session, payout, actor=actor, now=now)
    services.wake()
    return look(services, payout_no)


def withdraw(services: Services, *, payout_no: str, account_no: str) -> PayoutView:
    """The owner takes the request back. Raises: NoSuchPayout, also for somebody else's; IllegalTransition."""
    if look(services, payout_no).account_no != account_no:
        raise NoSuchPayout
    return reject(services, payout_no=payout_no, actor=owner_of(account_no))


def reject(services: Services, *, payout_no: str, actor: Actor) -> PayoutView:
    """End a request, by whomever; no money moves. Raises: NoSuchPayout, IllegalTransition."""
    now = services.clock()
    with services.transaction() as session:
        payout = _locked(session, payout_no)
        decide_payout(session, payout, PayoutStatus.REJECTED, actor=actor.name, now=now)
        _note(session, payout, "payout-rejected", actor=actor, now=now)
    return look(services, payout_no)


def look(services: Services, payout_no: str) -> PayoutView:
    """One payout. Raises: NoSuchPayout."""
    with services.reading() as session:
        found = session.scalar(select(Payout).where(Payout.payout_no == payout_no))
        if found is None:
            raise NoSuchPayout
        return _views(session, [found])[0]


def newest(services: Services, *, limit: int = 20, waiting: bool = False) -> list[PayoutView]:
    """Payouts, newest first; only those that wait for approval if `waiting`."""
    query = select(Payout)
    if waiting:
        query = query.where(Payout.status == PayoutStatus.REQUESTED)
    with services.reading() as session:
        return _views(session, list(session.scalars(query.order_by(Payout.id.desc()).limit(limit))))


def of_account(services: Services, account_no: str, *, limit: int) -> list[PayoutView]:
    """The payouts of one account, newest first."""
    query = select(Payout).where(Payout.account_no == account_no).order_by(Payout.id.desc())
    with services.reading() as session:
        return _views(session, list(session.scalars(query.limit(limit))))


def _agree_to(session: Session, payout: Payout, *, actor: Actor, now: datetime) -> None:
    if any(actor.is_same_person(name) for name in (payout.checked_by, payout.requested_by)):
        raise SamePerson
    holds.require_none(session, payout.account_no)
    decide_payout(session, payout, PayoutStatus.APPROVED, actor=actor.name, now=now)
    # Orders are locked in the order of their numbers, so that two approvals cannot lock each other out.
    for part in sorted(_parts_of(session, payout.id), key=lambda part: part.order_no or ""):
        _start(session, payout, part, actor=actor, now=now)
    _note(session, payout, "payout-approved", actor=actor, now=now)


def _check_bank(services: Services, plan: Plan, bank_name: str, bank_account: str) -> None:
    if not plan.by_bank_fen:
        return
    if not services.billing.capabilities().withdraw:
        raise Refused("计费系统不支持扣款，只能原路退回")
    check_bank_details(bank_name, bank_account)


def check_bank_details(bank_name: str, bank_account: str) -> None:
    """Return when a bank may be told to pay there. Raises: Refused."""
    has_bank = 0 < len(bank_name) <= BANK_NAME_MAX and bank_name.isprintable()
    if not has_bank or BANK_ACCOUNT.fullmatch(bank_account) is None:
        raise Refused("须填写开户行和银行卡号")


def _parts(payout: Payout, plan: Plan, now: datetime) -> list[PayoutPart]:
    ways = [(PartWay.WECHAT, back.amount_fen, back.order_no) for back in plan.by_wechat]
    rest: list[tuple[PartWay, int, str | None]] = [*ways]
    if plan.by_bank_fen:
        rest.append((PartWay.BANK, plan.by_bank_fen, None))
    return [
        PayoutPart(
            payout_id=payout.id,
            seq=seq,
            part_no=f"{payout.payout_no}-{seq:02d}",
            way=way,
            amount_fen=amount_fen,
            order_no=order_no,
            status=PartStatus.PLANNED,
            changed_at=now,
        )
        for seq, (way, amount_fen, order_no) in enumerate(rest, start=1)
    ]


def _start(session: Session, payout: Payout, part: PayoutPart, *, actor: Actor, now: datetime) -> None:
    if part.order_no is None:
        move_part(session, part, PartStatus.WAITING, now=now)
        outbox.put(session, "payout", part.part_no, {"part_no": part.part_no}, now=now)
        return
    wanted = Wanted(part.order_no, part.amount_fen, REASON)
    refund = refunds.ask_for(session, wanted, actor=Actor(payout.checked_by or payout.requested_by), now=now)
    session.flush()  # its number is looked up by the approval, its id is written to the part
    refunds.agree_to(session, refund.out_refund_no, actor=actor, now=now)
    part.refund_id = refund.id
    move_part(session, part, PartStatus.REFUND, now=now)


def _locked(session: Session, payout_no: str) -> Payout:
    payout = session.scalar(select(Payout).where(Payout.payout_no == payout_no).with_for_update())
    if payout is None:
        raise NoSuchPayout
    return payout


def _parts_of(session: Session, payout_id: int) -> list[PayoutPart]:
    query = select(PayoutPart).where(PayoutPart.payout_id == payout_id)
    return list(session.scalars(query.order_by(PayoutPart.seq)))


def _views(session: Session, payouts: Sequence[Payout]) -> list[PayoutView]:
    query = (
        select(PayoutPart, Refund.status)
        .outerjoin(Refund, Refund.id == PayoutPart.refund_id)
        .where(PayoutPart.payout_id.in_([payout.id for payout in payouts]))
        .order_by(PayoutPart.payout_id, PayoutPart.seq)
    )
    parts: dict[int, list[PartView]] = {payout.id: [] for payout in payouts}
    for part, refund_status in session.execute(query):
        state = str(refund_status or part.status)
        on_list = part.list_no if part.status in (PartStatus.LISTED, PartStatus.PAID) else None
        way = PartWay(part.way)
        parts[part.payout_id].append(PartView(part.part_no, way, part.amount_fen, state, on_list))
    return [
        PayoutView(
            payout_no=payout.payout_no,
            account_no=payout.account_no,
            amount_fen=payout.amount_fen,
            status=PayoutStatus(payout.status),
            requested_by=payout.requested_by,
            created_at=payout.created_at,
            bank_account=f"…{payout.bank_account[-4:]}" if payout.bank_account else "",
            by_owner=payout.by_owner,
            checked_by=payout.checked_by,
            withdrawn=payout.by_owner and payout.decided_by == payout.requested_by,
            parts=tuple(parts[payout.id]),
        )
        for payout in payouts
    ]


def _note(session: Session, payout: Payout, what: str, *, actor: Actor, now: datetime) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor.name,
        now=now,
        payout_no=payout.payout_no,
        amount_fen=payout.amount_fen,
    )
