"""The list for finance: what was taken off accounts and has to be paid by the bank."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.clock import campus_date
from models.csv_rows import Row, read_rows
from models.errors import IllegalTransition, Refused
from models.payout import PartStatus, PartWay, Payout, PayoutPart, move_part
from models.person import openids_of
from models.recovery import check_may_pay_out
from payments import outbox
from payments.counter.steps import NameMismatch
from payments.operators import named, same_person
from payments.payouts.approval import NoSuchPayout, check_bank_details
from payments.payouts.wording import moved
from payments.refunds.approval import SamePerson
from payments.services import Services

OWED = (
    PayoutPart.way == PartWay.BANK,
    PayoutPart.status == PartStatus.WITHDRAWN,
    # In a restored backup, and perhaps paid since.
    PayoutPart.fate_unknown.is_(False),
)
COLUMNS = {
    "list_no": ("名单号", "list_no"),
    "part_no": ("编号", "part_no"),
    "result": ("结果", "result"),
}
PAID_WORDS = frozenset({"成功", "已支付", "paid"})
FAILED_WORDS = frozenset({"失败", "退票", "failed"})


@dataclass(frozen=True)
class ListRow:
    """What the bank needs for one payment."""

    part_no: str
    account_no: str
    payee: str
    bank_name: str
    bank_account: str
    amount_fen: int


@dataclass
class Result:
    """What a list of results changed; `faults` are rows nothing was done with."""

    paid: int = 0
    failed: int = 0
    known: int = 0
    faults: list[str] = field(default_factory=list)


def make_list(services: Services, *, actor: str) -> str | None:
    """Put everything that is owed on one new list, except where `actor` corrected the bank details alone.

    Returns: its number, None when nothing is owed.
    Raises: SamePerson - all that is owed goes to bank details that `actor` corrected.
    """
    actor, now = named(actor), services.clock()
    with services.transaction() as session:
        check_may_pay_out(session)
        waiting = list(
            session.scalars(select(PayoutPart).where(*OWED).order_by(PayoutPart.id).with_for_update())
        )
        if not waiting:
            return None
        # A second look: what was corrected while the first one waited for the lock counts.
        corrected = select(PayoutPart.id, Payout.bank_by).join(Payout, Payout.id == PayoutPart.payout_id)
        by = {part_id: name or "" for part_id, name in session.execute(corrected.where(*OWED))}
        owed = [part for part in waiting if not same_person(by[part.id], actor)]
        if not owed:
            raise SamePerson("银行信息由您更正，须由另一位同事列入名单")
        list_no = f"L{campus_date(now):%Y%m%d}-{secrets.token_hex(4)}"
        for part in owed:
            part.list_no = list_no
            move_part(session, part, PartStatus.LISTED, now=now)
            _tell(session, part, now=now)
        total_fen = sum(part.amount_fen for part in owed)
        journal.note(
            session,
            "payout-listed",
            order_no=None,
            actor=actor,
            now=now,
            list_no=list_no,
            rows=len(owed),
            amount_fen=total_fen,
        )
    services.wake()
    return list_no


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
        rows = [
            ListRow(
                part.part_no,
                payout.account_no,
                payout.payee,
                payout.bank_name,
                payout.bank_account,
                part.amount_fen,
            )
            for part, payout in session.execute(query)
        ]
    if not rows:
        raise NoSuchPayout("没有这份名单")
    return rows


def mark_paid(services: Services, *, part_no: str, actor: str) -> bool:
    """The bank has paid it. Returns: whether that is news. Raises: NoSuchPayout, IllegalTransition."""
    return _mark(services, part_no, PartStatus.PAID, named(actor), "")


def mark_failed(services: Services, *, part_no: str, actor: str, reason: str) -> bool:
    """The bank could not pay it: it stands on the next list, once its bank details are right.

    Returns: whether that is news. Raises: NoSuchPayout; IllegalTransition - it was paid.
    """
    return _mark(services, part_no, PartStatus.WITHDRAWN, named(actor), reason)


def correct_bank(
    services: Services,
    *,
    part_no: str,
    bank_name: str,
    bank_account: str,
    actor: str,
    payee: str | None = None,
) -> None:
    """Give a part that is owed other bank details of the same payee; somebody else puts it on a list.

    Args:
        payee: the full name of the account's owner, for a payout that was rebuilt after a restore.

    Raises: NoSuchPayout; IllegalTransition - it is on a list, or paid; NameMismatch; Refused.
    """
    actor, now = named(actor), services.clock()
    bank_name, bank_account = bank_name.strip(), "".join(bank_account.split())
    check_bank_details(bank_name, bank_account)
    owner = _owner(services, part_no, payee)
    with services.transaction() as session:
        part = _locked(session, part_no)
        if part.status != PartStatus.WITHDRAWN:
            raise IllegalTransition("这笔退费已在名单上")
        payout = session.get_one(Payout, part.payout_id)
        if not payout.payee:
            payout.payee = owner
        payout.bank_name, payout.bank_account, payout.bank_by = bank_name, bank_account, actor
        journal.note(session, "payout-bank", order_no=None, actor=actor, now=now, part_no=part_no)


def _owner(services: Services, part_no: str, payee: str | None) -> str:
    """Return the payee; checked where the payout has none. Raises: NoSuchPayout, NameMismatch."""
    with services.reading() as session:
        query = select(Payout).join(PayoutPart, PayoutPart.payout_id == Payout.id)
        payout = session.scalar(query.where(PayoutPart.part_no == part_no))
    if payout is None:
        raise NoSuchPayout
    if payout.payee:
        return payout.payee
    if payee is None or not services.billing.name_matches(payout.account_no, payee):
        raise NameMismatch
    return payee.strip()


def read_result(services: Services, path: Path, *, actor: str) -> Result:
    """Read what the bank did (CSV with 名单号, 编号 and 结果); again changes nothing. Raises: Malformed."""
    actor, result = named(actor), Result()
    for row in read_rows(path, COLUMNS, needed=("list_no", "part_no", "result")):
        try:
            new = _result_of(row)
            news = _mark(services, row["part_no"], new, actor, row["result"], list_no=row["list_no"])
        except Refused as refusal:
            result.faults.append(f"第 {row.line_no} 行：{refusal.text}")
            continue
        result.paid += news and new == PartStatus.PAID
        result.failed += news and new == PartStatus.WITHDRAWN
        result.known += not news
    return result


def _result_of(row: Row) -> PartStatus:
    word = row["result"].casefold()
    if word in PAID_WORDS:
        return PartStatus.PAID
    if word in FAILED_WORDS:
        return PartStatus.WITHDRAWN
    raise Refused("结果不是“成功”或“失败”")


def _mark(
    services: Services, part_no: str, new: PartStatus, actor: str, said: str, *, list_no: str | None = None
) -> bool:
    """What the bank says of a part, with `list_no` only on that list. Returns: whether it is news."""
    now = services.clock()
    with services.transaction() as session:
        part = _locked(session, part_no)
        if list_no is not None and part.list_no != list_no:
            raise Refused("这笔退费不在这份名单上")
        if part.status == new:
            return False
        if part.fate_unknown:
            raise IllegalTransition("恢复数据后须由两位同事确认这笔退费是否已付（campusnet review list）")
        if part.status != PartStatus.LISTED:
            raise IllegalTransition(f"退费状态为 {part.status}，不能变为 {new}")
        error = said[:200] if new == PartStatus.WITHDRAWN else None
        move_part(session, part, new, now=now, error=error)
        _tell(session, part, now=now)
        journal.note(
            session,
            "payout-paid" if new == PartStatus.PAID else "payout-failed",
            order_no=None,
            actor=actor,
            now=now,
            part_no=part_no,
            list_no=part.list_no,
            amount_fen=part.amount_fen,
        )
    services.wake()
    return True


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
