"""The list for finance: what was taken off accounts and has to be paid by the bank."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.clock import campus_date
from models.errors import IllegalTransition, Refused
from models.payout import PartStatus, PartWay, Payout, PayoutList, PayoutPart, move_part
from models.person import openids_of
from models.values.actor import Actor
from payments import outbox
from payments.audit import holds
from payments.payouts.approval import NoSuchPayout, check_bank_details
from payments.payouts.bank_results import read_bank_results
from payments.payouts.contradictions import ask_about_result, parts_in_question
from payments.payouts.wording import moved
from payments.refunds.approval import SamePerson
from payments.services import Services

OWED = (PayoutPart.way == PartWay.BANK, PayoutPart.status == PartStatus.WITHDRAWN)
PAYEE_MAX = 64


@dataclass(frozen=True)
class ListRow:
    """What the bank needs for one payment."""

    part_no: str
    account_no: str
    payee: str
    bank_name: str
    bank_account: str
    amount_fen: int


# Writes a list, given its number and rows.
WriteList = Callable[[str, Sequence[ListRow]], None]


@dataclass
class Result:
    """What a list of results changed; `faults` are rows nothing was done with."""

    paid: int = 0
    failed: int = 0
    known: int = 0
    faults: list[str] = field(default_factory=list)


def make_list(services: Services, *, actor: Actor, write: WriteList | None = None) -> str | None:
    """Put everything that is owed on one new list.

    Left out is what `actor` alone would decide: parts whose bank details `actor` entered last, and parts
    that `actor` reported as not paid; parts without bank details, or whose last result is in question;
    and accounts that are held: these wait for a later list.

    Args:
        write: writes the list to where it is handed out, durably. It runs before the parts count as
            listed: what it raises leaves all of them owed.
    Returns: its number, None when nothing is owed.
    Raises: SamePerson - another operator has to list all that is owed; Refused - bank details are missing.
    """
    now = services.clock()
    with services.transaction() as session:
        owed = _owed_for(session, actor)
        if not owed:
            return None
        list_no = f"L{campus_date(now):%Y%m%d}-{secrets.token_hex(4)}"
        for part, _ in owed:
            part.list_no = list_no
            move_part(session, part, PartStatus.LISTED, now=now)
            _tell(session, part, now=now)
        rows = [_row(part, payout) for part, payout in owed]
        journal.note(
            session,
            "payout-listed",
            order_no=None,
            actor=actor.name,
            now=now,
            list_no=list_no,
            rows=len(rows),
            amount_fen=sum(row.amount_fen for row in rows),
        )
        session.add(
            PayoutList(
                list_no=list_no,
                made_by=actor.name,
                rows=len(rows),
                amount_fen=sum(row.amount_fen for row in rows),
                created_at=now,
            )
        )
        session.flush()  # what the database refuses is not written
        if write is not None:
            write(list_no, rows)
    services.wake()
    return list_no


def _owed_for(session: Session, actor: Actor) -> list[tuple[PayoutPart, Payout]]:
    waiting = list(session.scalars(select(PayoutPart).where(*OWED).order_by(PayoutPart.id).with_for_update()))
    if not waiting:
        return []
    # A second look: what was changed while the first one waited for the lock counts.
    query = (
        select(PayoutPart, Payout)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(PayoutPart.id.in_([part.id for part in waiting]), *OWED)
        .order_by(PayoutPart.id)
        .execution_options(populate_existing=True)
    )
    asked = parts_in_question(session)
    owed = [(part, payout) for part, payout in session.execute(query) if part.part_no not in asked]
    held = holds.held_among(session, sorted({payout.account_no for _, payout in owed}))
    owed = [(part, payout) for part, payout in owed if payout.account_no not in held]
    if not owed:
        return []
    complete = [(part, payout) for part, payout in owed if payout.bank_account and payout.payee]
    if not complete:
        raise Refused("待付的退费尚未填写收款人和银行信息（payouts card）")
    others = [
        (part, payout)
        for part, payout in complete
        if not any(actor.is_same_person(name) for name in (payout.bank_by, part.failed_by))
    ]
    if not others:
        raise SamePerson("银行信息或退票由您登记，须由另一位同事列入名单")
    return others


def newest_lists(services: Services, *, limit: int = 20) -> list[PayoutList]:
    """Return the lists that were handed out, newest first."""
    with services.reading() as session:
        return list(session.scalars(select(PayoutList).order_by(PayoutList.id.desc()).limit(limit)))


def rows_of(services: Services, list_no: str) -> list[ListRow]:
    """A list as it was made, as often as it is asked for, without what the bank gave back since.

    Raises: NoSuchPayout - no such list.
    """
    query = (
        select(PayoutPart, Payout)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(PayoutPart.list_no == list_no, PayoutPart.status.in_((PartStatus.LISTED, PartStatus.PAID)))
        .order_by(PayoutPart.id)
    )
    with services.reading() as session:
        rows = [_row(part, payout) for part, payout in session.execute(query)]
    if not rows:
        raise NoSuchPayout("没有这份名单")
    return rows


def mark_paid(services: Services, *, part_no: str, actor: Actor) -> bool:
    """The bank has paid it. Returns: whether that is news. Raises: NoSuchPayout, IllegalTransition."""
    return _mark(services, part_no, PartStatus.PAID, actor, "")


def mark_failed(services: Services, *, part_no: str, actor: Actor, reason: str) -> bool:
    """The bank could not pay it: another operator puts it on the next list, once its bank details are right.

    Returns: whether that is news. Raises: NoSuchPayout; IllegalTransition - it was paid.
    """
    return _mark(services, part_no, PartStatus.WITHDRAWN, actor, reason)


def correct_bank(
    services: Services, *, part_no: str, bank_name: str, bank_account: str, actor: Actor, payee: str = ""
) -> None:
    """Enter the bank details of a part that is owed; another operator puts it on a list.

    Args:
        payee: for money that a refund could not return: who gets it. The payee of any other payout is the
            owner of the account and stays.
    Raises: NoSuchPayout; IllegalTransition - it is on a list, or paid; Refused.
    """
    now = services.clock()
    bank_name, bank_account = bank_name.strip(), "".join(bank_account.split())
    check_bank_details(bank_name, bank_account)
    with services.transaction() as session:
        part = _locked(session, part_no)
        if part.status != PartStatus.WITHDRAWN:
            raise IllegalTransition("这笔退费已在名单上")
        payout = session.get_one(Payout, part.payout_id)
        payee = _payee(part, payout, payee.strip())
        payout.payee, payout.bank_name, payout.bank_account = payee, bank_name, bank_account
        payout.bank_by = actor.name
        journal.note(session, "payout-bank", order_no=None, actor=actor.name, now=now, part_no=part_no)


def _payee(part: PayoutPart, payout: Payout, payee: str) -> str:
    if part.order_id is None:
        if payee and payee != payout.payee:
            raise Refused("收款人须为账号本人，不能更改")
        return payout.payee
    chosen = payee or payout.payee
    if not 0 < len(chosen) <= PAYEE_MAX or not chosen.isprintable():
        raise Refused("请填写收款人姓名")
    return chosen


def read_result(services: Services, path: Path, *, actor: Actor) -> Result:
    """Read what the bank did (CSV or .xlsx with 名单号, 编号 and 结果); again changes nothing.

    Raises:
        TableRefused: no such table.
    """
    result, read = Result(), read_bank_results(services, path)
    result.faults += [error.text for error in read.errors]
    for row in read.rows:
        try:
            news = _mark(services, row.part_no, row.new, actor, row.said, list_no=row.list_no)
        except Refused as refusal:
            result.faults.append(f"第 {row.line_no} 行：{refusal.text}")
            continue
        result.paid += news and row.new == PartStatus.PAID
        result.failed += news and row.new == PartStatus.WITHDRAWN
        result.known += not news
    return result


def _mark(
    services: Services, part_no: str, new: PartStatus, actor: Actor, said: str, *, list_no: str | None = None
) -> bool:
    """What the bank says of a part, with `list_no` only on that list. Returns: whether it is news."""
    now, asked = services.clock(), False
    with services.transaction() as session:
        part = _locked(session, part_no)
        here = list_no is None or part.list_no == list_no
        if here and part.status == new:
            return False
        fits = here and part.status == PartStatus.LISTED
        if fits:
            _record(session, part, new, actor, said, now=now)
        elif list_no is not None:
            # The bank says so; a command is refused and tells its operator why.
            asked = ask_about_result(session, part, new, list_no, now=now)
        status = part.status
    if not fits:
        told = "，已登记待核对" if asked else ""
        if not here:
            raise Refused(f"这笔退费不在这份名单上{told}")
        raise IllegalTransition(f"退费状态为 {status}，不能变为 {new}{told}")
    services.wake()
    return True


def _record(
    session: Session, part: PayoutPart, new: PartStatus, actor: Actor, said: str, *, now: datetime
) -> None:
    failed = new == PartStatus.WITHDRAWN
    part.failed_by = actor.name if failed else None
    move_part(session, part, new, now=now, error=said[:200] if failed else None)
    _tell(session, part, now=now)
    journal.note(
        session,
        "payout-failed" if failed else "payout-paid",
        order_no=None,
        actor=actor.name,
        now=now,
        part_no=part.part_no,
        list_no=part.list_no,
        amount_fen=part.amount_fen,
    )


def _row(part: PayoutPart, payout: Payout) -> ListRow:
    return ListRow(
        part.part_no,
        payout.account_no,
        payout.payee,
        payout.bank_name,
        payout.bank_account,
        part.amount_fen,
    )


def _tell(session: Session, part: PayoutPart, *, now: datetime) -> None:
    """Promise the owner a message about where the part is now; who has bound nothing is told nothing."""
    payout = session.get_one(Payout, part.payout_id)
    tidings = moved(payout, part, at=now)
    # A part may stand on several lists, one after the other.
    what = f"payout-{part.status.lower()}:{part.part_no}:{(part.list_no or '')[-8:]}"
    for openid in openids_of(session, payout.account_no):
        whose = hashlib.sha256(openid.encode()).hexdigest()[:16]
        outbox.put(session, "message", f"{what}:{whose}", tidings.payload(openid), now=now)


def _locked(session: Session, part_no: str) -> PayoutPart:
    query = select(PayoutPart).where(PayoutPart.part_no == part_no, PayoutPart.way == PartWay.BANK)
    part = session.scalar(query.with_for_update())
    if part is None:
        raise NoSuchPayout
    return part
