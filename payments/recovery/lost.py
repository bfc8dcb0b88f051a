"""What the copy of the journal tells of the time after the backup, and WeChat Pay cannot.

Packages are bought again under their keys. A payout by bank is taken off the account again and held until
two operators say whether the bank paid it. Counter money is listed: its receipt is booked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.errors import Refused
from models.payout import PartStatus, PartWay, Payout, PayoutPart, PayoutStatus
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.counter.steps import find_booking
from payments.recovery.journal_copy import CopiedRow
from payments.recovery.payouts import hold
from payments.recovery.rebuild import CAUSE
from payments.recovery.report import Report
from payments.services import Services

BOUGHT, WITHDRAWN = "package-bought", "payout-withdrawn"
# Rows about money that came in or went out beside WeChat; each is listed.
BESIDE_WECHAT = (
    "counter-booked",
    "counter-held",
    "counter-returned",
    "adjustment-approved",
    "import-approved",
)


def take_lost_rows(services: Services, rows: Sequence[CopiedRow], report: Report) -> None:
    """Rebuild or list what each row tells; again changes nothing. Raises: Unknown, Unavailable."""
    for row in rows:
        if row.what == WITHDRAWN:
            _rebuild_payout(services, row, report)
        elif row.what == BOUGHT:
            _buy_again(services, row, report)
        elif row.what in BESIDE_WECHAT and not _is_booked(services, row):
            _list(services, row, report, "须按原始凭据（收据、银行流水、审批单）重新登记")


def _buy_again(services: Services, row: CopiedRow, report: Report) -> None:
    facts, amount_fen = row.facts, int(row.facts["price_fen"])
    key = str(facts["key"])
    if services.billing.find_exchange(str(facts["account_no"]), key) is not None:
        report.count("package_known", amount_fen)
        return
    try:
        services.billing.exchange(
            str(facts["account_no"]), str(facts["package"]), key=key, price_fen=amount_fen
        )
    except Refused as refusal:
        # Sold out, not offered any more, spent otherwise: the price is still on the account.
        _list(services, row, report, f"套餐未能重新换购，余额仍在账户：{refusal.code}")
        return
    report.count("package_rebuilt", amount_fen)


def _rebuild_payout(services: Services, row: CopiedRow, report: Report) -> None:
    """Write the part as approved and not taken off the account yet; the job takes it off."""
    part_no, amount_fen, now = str(row.facts["part_no"]), int(row.facts["amount_fen"]), services.clock()
    account_no = row.facts.get("account_no")
    with services.transaction() as session:
        if session.scalar(select(PayoutPart.id).where(PayoutPart.part_no == part_no)) is not None:
            return
    if account_no is None:
        _list(services, row, report, "退费的账号不明，须向财务核对")
        return
    with services.transaction() as session:
        payout = _payout(session, part_no, str(account_no), amount_fen, now)
        part = PayoutPart(
            payout_id=payout.id,
            seq=int(part_no[-2:]),
            part_no=part_no,
            way=PartWay.BANK,
            amount_fen=amount_fen,
            status=PartStatus.WAITING,
            changed_at=now,
        )
        session.add(part)
        session.flush()  # the question names its state
        hold(session, part, payout, now=now)
        outbox.put(session, "payout", part_no, {"part_no": part_no}, now=now)
        journal.note(
            session,
            "payout-rebuilt",
            order_no=None,
            actor=CAUSE,
            now=now,
            part_no=part_no,
            account_no=account_no,
            amount_fen=amount_fen,
        )
    report.count("payout_rebuilt", amount_fen)


def _payout(session: Session, part_no: str, account_no: str, amount_fen: int, now: datetime) -> Payout:
    """Return the payout of a part; rebuilt it has no payee and no bank details, which nothing else keeps."""
    payout_no = part_no.rpartition("-")[0]
    payout = session.scalar(select(Payout).where(Payout.payout_no == payout_no))
    if payout is None:
        payout = Payout(
            payout_no=payout_no,
            open_key=None,
            account_no=account_no,
            amount_fen=amount_fen,
            formula={"rebuilt": True},
            status=PayoutStatus.APPROVED,
            payee="",
            bank_name="",
            bank_account="",
            requested_by=CAUSE,
            decided_by=CAUSE,
            by_owner=False,
            created_at=now,
            changed_at=now,
        )
        session.add(payout)
        session.flush()  # the part needs its id
    return payout


def _is_booked(services: Services, row: CopiedRow) -> bool:
    receipt_no = row.facts.get("receipt_no")
    if receipt_no is None:
        return False
    with services.reading() as session:
        return find_booking(session, receipt_no=str(receipt_no)) is not None


def _list(services: Services, row: CopiedRow, report: Report, reason: str) -> None:
    amount_fen = int(row.facts.get("price_fen") or row.facts.get("amount_fen") or 0)
    names = ("receipt_no", "return_no", "part_no", "key", "adjustment_no", "import_id")
    number = next((str(row.facts[name]) for name in names if row.facts.get(name)), str(row.id))
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.NOT_REBUILT,
            f"{row.what}:{number}",
            order_id=None,
            amount_fen=amount_fen,
            now=services.clock(),
            reason=reason,
            happened_at=row.at.isoformat(),
            happened=row.what,
            **{f"lost_{name}": value for name, value in row.facts.items()},
        )
    report.add(row.what, number, amount_fen, reason)
