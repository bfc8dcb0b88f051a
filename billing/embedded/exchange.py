"""Swapping balance for a package: what would happen, and making it happen, once.

Rows are locked in this order: account, lot, package. Traffic that is counted at the same moment
holds the lot, so a purchase sees what is really left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from billing.embedded import accounts, catalogue, ledger
from billing.embedded.quota import validity_end
from billing.embedded.rules import rule_in_force
from billing.interface import CreditOutcome, ExchangeReceipt, ExchangeRecord, Offer
from models import journal
from models.clock import CAMPUS_ZONE
from models.db.state import rows_changed
from models.errors import (
    BalanceTooLow,
    NoSuchAccount,
    PackageLimitReached,
    PackageStillRunning,
    PriceChanged,
    Refused,
)
from models.ledger import Account
from models.money import traffic, yuan
from models.package import LotKind, MonthRule, Package, Purchase, TrafficLot, TrafficRule
from models.values.account_no import DEFAULT_RULES, AccountRules

INCOME = "income:packages"

Row = TypeVar("Row", Account, TrafficLot)


@dataclass(frozen=True)
class Deal:
    """A purchase that nothing speaks against: what it gives, and which old lot it closes."""

    package: Package
    offer: Offer
    rule: TrafficRule
    ends_at: datetime
    balance_fen: int
    old: TrafficLot | None
    carried_bytes: int


def agree(session: Session, account_no: str, code: str, now: datetime, *, lock: bool) -> Deal:
    """Check everything that may speak against a purchase now; `lock` holds account and lot until it is made.

    Raises: NoSuchAccount, PackageNotOffered, NotForYou, PackageStillRunning, PackageLimitReached,
        SoldOut, BalanceTooLow.
    """
    account = _account(session, account_no, lock=lock)
    if not account.active:
        raise NoSuchAccount
    package = catalogue.find_offered(session, code, now)
    catalogue.check_audience(package, accounts.Group(account.kind, account.department))
    old = _open_lot(session, account_no, lock=lock)
    carried_bytes = _what_carries_over(session, old, now)
    _check_limit(session, account_no, package)
    catalogue.check_stock(package)
    if account.balance_fen < package.price_fen:
        missing = yuan(package.price_fen - account.balance_fen)
        raise BalanceTooLow(f"账户余额不足，还差 {missing} 元，请先充值")
    rule = rule_in_force(session, now)
    return Deal(
        package=package,
        offer=catalogue.offer_of(package, rule),
        rule=rule,
        ends_at=validity_end(now, package.validity_months, MonthRule(rule.month_rule)),
        balance_fen=account.balance_fen,
        old=old,
        carried_bytes=carried_bytes,
    )


def buy(
    session: Session, account_no: str, code: str, *, key: str, price_fen: int, now: datetime
) -> ExchangeReceipt:
    """Buy a package, once per key. Returns: the receipt, of the first purchase when the key is known.

    Raises: as `agree`; PriceChanged; KeyUsedOtherwise; IntegrityError - another account uses the key now.
    """
    # With the account held, a purchase under the same key is either committed or not begun.
    _account(session, account_no, lock=True)
    known = find(session, key)
    if known is not None:
        return same(known, account_no, code, price_fen)
    _check_price(session, code, price_fen, now)
    deal = agree(session, account_no, code, now, lock=True)
    if deal.old is not None:
        _close(session, deal.old, deal.carried_bytes, now)
    purchase = _write(session, account_no, deal, key, now)
    # Last, because everybody who buys the same special waits for this row.
    catalogue.take_one(session, deal.package, now)
    return _receipt(purchase, CreditOutcome.APPLIED)


def find(session: Session, key: str) -> ExchangeReceipt | None:
    """The purchase with this key, or None."""
    purchase = session.scalar(select(Purchase).where(Purchase.key == key))
    return None if purchase is None else _receipt(purchase, CreditOutcome.ALREADY_APPLIED)


def same(known: ExchangeReceipt, account_no: str, code: str, price_fen: int) -> ExchangeReceipt:
    """The known receipt, if it is of the same purchase. Raises: KeyUsedOtherwise."""
    if (known.account_no, known.code, known.price_fen) != (account_no, code, price_fen):
        raise ledger.KeyUsedOtherwise
    return known


def log(session: Session, account_no: str, *, before: int | None, limit: int) -> list[ExchangeRecord]:
    """Purchases of an account, newest first."""
    query = select(Purchase).where(Purchase.account_no == account_no)
    if before is not None:
        query = query.where(Purchase.id < before)
    return [
        ExchangeRecord(
            at=row.at,
            package_name=row.package_name,
            price_fen=row.price_fen,
            quota_bytes=row.quota_bytes,
            ends_at=row.ends_at,
            id=row.id,
        )
        for row in session.scalars(query.order_by(Purchase.id.desc()).limit(limit))
    ]


def close_ended(
    session: Session,
    account_no: str,
    *,
    actor: str,
    now: datetime,
    account_rules: AccountRules = DEFAULT_RULES,
) -> TrafficLot:
    """Give up the rest of a package that has ended, where its rule does not do so by itself.

    Raises: NoSuchAccount; PackageStillRunning - it has not ended; Refused - there is nothing to close.
    """
    account_no = accounts.resolve_one(session, account_no, account_rules) or account_no
    _account(session, account_no, lock=True)
    lot = _open_lot(session, account_no, lock=True)
    if lot is None:
        raise Refused("该账号没有未结束的套餐")
    if lot.ends_at > now:
        raise PackageStillRunning("该套餐尚未到期，不能关闭")
    if lot.used_bytes == lot.total_bytes or _rule_of(session, lot).ended_is_used_up:
        raise Refused("该套餐不影响再次换购，无需关闭")
    _close(session, lot, 0, now)
    left = lot.total_bytes - lot.used_bytes
    journal.note(session, "package-closed", order_no=None, actor=actor, now=now, lot=lot.id, left_bytes=left)
    return lot


def _account(session: Session, account_no: str, *, lock: bool) -> Account:
    account = None
    if accounts.plausible(account_no):
        account = session.scalar(_held(select(Account).where(Account.account_no == account_no), lock=lock))
    if account is None:
        raise NoSuchAccount
    return account


def _open_lot(session: Session, account_no: str, *, lock: bool) -> TrafficLot | None:
    query = select(TrafficLot).where(
        TrafficLot.account_no == account_no, TrafficLot.kind != LotKind.GRANT, TrafficLot.closed_at.is_(None)
    )
    return session.scalar(_held(query, lock=lock))


def _held(query: Select[Row], *, lock: bool) -> Select[Row]:
    # Not the key of the row: whoever holds the lot may still write rows that refer to the account.
    return query.with_for_update(key_share=True) if lock else query


def _what_carries_over(session: Session, lot: TrafficLot | None, now: datetime) -> int:
    """Bytes of the last package that go into the next one, by the rule it was bought under.

    Raises: PackageStillRunning - it is neither used up nor, where that suffices, ended.
    """
    if lot is None or lot.used_bytes == lot.total_bytes:
        return 0
    left_bytes = lot.total_bytes - lot.used_bytes
    ends = lot.ends_at.astimezone(CAMPUS_ZONE)
    until = f"{ends.month}月{ends.day}日 {ends:%H:%M}"
    if lot.ends_at > now:
        raise PackageStillRunning(
            f"当前流量包还剩 {traffic(left_bytes)}，有效期至 {until}，用完后才能再次换购"
        )
    rule = _rule_of(session, lot)
    if not rule.ended_is_used_up:
        raise PackageStillRunning(
            f"上一个流量包已于 {until} 到期，但还剩 {traffic(left_bytes)} 未用完，请联系网络中心处理后再换购"
        )
    return left_bytes if rule.rest_carries_over else 0


def _rule_of(session: Session, lot: TrafficLot) -> TrafficRule:
    """The rule a lot was bought under."""
    return session.get_one(TrafficRule, lot.rule_id) if lot.rule_id else rule_in_force(session, lot.starts_at)


def _check_price(session: Session, code: str, price_fen: int, now: datetime) -> None:
    package = catalogue.find_offered(session, code, now)
    if package.price_fen != price_fen:
        raise PriceChanged(f"套餐价格已变为 {yuan(package.price_fen)} 元，请确认后重新提交")


def _check_limit(session: Session, account_no: str, package: Package) -> None:
    if package.limit_each is None:
        return
    bought = select(func.count()).where(
        Purchase.account_no == account_no, Purchase.package_code == package.code
    )
    if session.execute(bought).scalar_one() >= package.limit_each:
        raise PackageLimitReached(f"该特惠套餐每人限购 {package.limit_each} 份，您已购买")


def _close(session: Session, lot: TrafficLot, carried_bytes: int, now: datetime) -> None:
    # What is carried over leaves the old lot: traffic that is reported late cannot use it twice.
    statement = (
        update(TrafficLot)
        .where(TrafficLot.id == lot.id, TrafficLot.closed_at.is_(None))
        .values(closed_at=now, total_bytes=TrafficLot.total_bytes - carried_bytes)
    )
    rows_changed(session, statement)


def _write(session: Session, account_no: str, deal: Deal, key: str, now: datetime) -> Purchase:
    package, offer = deal.package, deal.offer
    legs = (
        ledger.Leg(ledger.book_of(account_no), -offer.price_fen),
        ledger.Leg(INCOME, offer.price_fen),
    )
    entry_key = f"{ledger.EXCHANGE}:{key}"
    balances = ledger.post(session, key=entry_key, kind=ledger.EXCHANGE, legs=legs, at=now, memo=package.name)
    lot = TrafficLot(
        account_no=account_no,
        kind=LotKind.SPECIAL if package.special else LotKind.PACKAGE,
        package_code=package.code,
        rule_id=deal.rule.id,
        total_bytes=offer.quota_bytes + deal.carried_bytes,
        used_bytes=0,
        starts_at=now,
        ends_at=deal.ends_at,
    )
    session.add(lot)
    session.flush()  # the purchase names its lot
    purchase = Purchase(
        key=key,
        account_no=account_no,
        package_code=package.code,
        package_name=package.name,
        price_fen=offer.price_fen,
        quota_bytes=offer.quota_bytes,
        carried_bytes=deal.carried_bytes,
        lot_id=lot.id,
        balance_fen=balances[account_no],
        at=now,
        ends_at=deal.ends_at,
    )
    session.add(purchase)
    session.flush()  # a key that is in use has to be seen before the stock is touched
    return purchase


def _receipt(purchase: Purchase, outcome: CreditOutcome) -> ExchangeReceipt:
    return ExchangeReceipt(
        key=purchase.key,
        account_no=purchase.account_no,
        code=purchase.package_code,
        package_name=purchase.package_name,
        price_fen=purchase.price_fen,
        quota_bytes=purchase.quota_bytes,
        starts_at=purchase.at,
        ends_at=purchase.ends_at,
        balance_fen=purchase.balance_fen,
        outcome=outcome,
    )
