"""First rows: the published packages, an example grant, accounts to play with. Each may run twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded import accounts, grants, ledger, usage
from billing.embedded.quota import gigabytes_to_bytes
from models.account_import import AccountImport, AccountImportRow, ImportStatus
from models.clock import CAMPUS_ZONE, campus_date
from models.ledger import Entry
from models.package import GrantPolicy, Package
from models.values.actor import Actor

# Published with the fee rules 桂电网信〔2023〕2号: price in yuan, high-speed traffic in GB, one month.
PUBLISHED_PACKAGES = ((5, 8), (10, 20), (20, 60), (30, 120))
SALE_FROM = datetime(2023, 1, 1, tzinfo=CAMPUS_ZONE)

EXAMPLE_GRANT_GB = 30
EXAMPLE_THROTTLED_KBPS = 2000
OPENING = "opening"
OPENING_BOOK = "clearing:opening"
_FEN_PER_YUAN = 100


@dataclass(frozen=True)
class DemoAccount:
    """An invented account; `daily_gb` is what it used on each of the last days, newest first."""

    account_no: str
    name: str
    kind: str = "undergraduate"
    department: str = ""
    balance_fen: int = 0
    daily_gb: tuple[int, ...] = ()


def seed_catalogue(session: Session) -> None:
    """Put the four published packages on sale; a package that exists stays as the operator left it."""
    present = set(session.scalars(select(Package.code)))
    for price_yuan, quota_gb in PUBLISHED_PACKAGES:
        code = f"P{price_yuan:02d}"
        if code not in present:
            session.add(
                Package(
                    code=code,
                    name=f"{price_yuan}元不限量套餐",
                    price_fen=price_yuan * _FEN_PER_YUAN,
                    quota_bytes=gigabytes_to_bytes(quota_gb),
                    validity_months=1,
                    special=False,
                    sale_from=SALE_FROM,
                )
            )


def seed_grant_policy(
    session: Session,
    *,
    kind: str = grants.EVERYBODY,
    effective_from: datetime = SALE_FROM,
    quota_bytes: int = gigabytes_to_bytes(EXAMPLE_GRANT_GB),
    throttled_kbps: int = EXAMPLE_THROTTLED_KBPS,
    example: bool = True,
) -> None:
    """Set a monthly grant from a date on; the defaults are invented and therefore marked 示例."""
    same = select(GrantPolicy.id).where(
        GrantPolicy.kind == kind, GrantPolicy.effective_from == effective_from
    )
    if session.scalar(same) is None:
        session.add(
            GrantPolicy(
                kind=kind,
                effective_from=effective_from,
                quota_bytes=quota_bytes,
                throttled_kbps=throttled_kbps,
                example=example,
            )
        )


def seed_demo_accounts(session: Session, rows: Iterable[DemoAccount], now: datetime) -> None:
    """Open the accounts that do not exist yet, with their money and their past traffic."""
    new = [row for row in rows if not accounts.exists(session, row.account_no)]
    if not new:
        return
    actor = Actor.system()
    made = AccountImport(
        status=ImportStatus.APPLIED,
        file_sha256="",
        file_name="",
        prepared_by=actor.name,
        prepared_at=now,
        applied_at=now,
        rows=len(new),
        packages=0,
        total_fen=sum(row.balance_fen for row in new),
    )
    session.add(made)
    session.flush()
    for row in new:
        entry_id = _open(session, row, now)
        session.add(
            AccountImportRow(
                import_id=made.id,
                line_no=0,
                account_no=row.account_no,
                name=row.name,
                kind=row.kind,
                department=row.department,
                balance_fen=row.balance_fen,
                left_bytes=0,
                entry_id=entry_id,
                opened_at=now,
            )
        )


def _open(session: Session, row: DemoAccount, now: datetime) -> int | None:
    """Open one account. Returns: the id of its opening entry, None without money."""
    entry_id = None
    accounts.open_account(
        session,
        account_no=row.account_no,
        name=row.name,
        kind=row.kind,
        department=row.department,
        now=now,
    )
    if row.balance_fen:
        legs = (
            ledger.Leg(ledger.book_of(row.account_no), row.balance_fen),
            ledger.Leg(OPENING_BOOK, -row.balance_fen),
        )
        key = f"{OPENING}:{row.account_no}"
        ledger.post(session, key=key, kind=OPENING, legs=legs, at=now)
        entry_id = session.scalar(select(Entry.id).where(Entry.key == key))
    policy = grants.policy_in_force(session, row.kind, now)
    if policy is not None:
        grants.open_grant(session, row.account_no, policy, now)
    today = campus_date(now)
    for days_ago, used_gb in enumerate(row.daily_gb):
        used_on, used_bytes = today - timedelta(days=days_ago), gigabytes_to_bytes(used_gb)
        if not used_gb:
            continue
        if (used_on.year, used_on.month) == (today.year, today.month):
            # Of this month: it comes off the running grant as well.
            usage.record_usage(session, row.account_no, used_bytes, now - timedelta(days=days_ago))
        else:
            usage.add_to_day(session, row.account_no, used_on, used_bytes)
    return entry_id
