"""What is for sale now, and to whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from billing.embedded.accounts import Group, plausible
from billing.embedded.rules import quota_bytes, rule_in_force
from billing.interface import Offer
from models.db.state import rows_changed
from models.errors import NotForYou, PackageNotOffered, SoldOut
from models.package import Package, TrafficRule


def offers(session: Session, now: datetime, group: Group | None) -> list[Offer]:
    """Packages on sale at `now` to an account of this group, specials first, then by price.

    What they give is by the rule of `now`. Without a group: those that are for everybody.
    """
    rule = rule_in_force(session, now)
    query = (
        select(Package).where(_on_sale(now)).order_by(Package.special.desc(), Package.price_fen, Package.code)
    )
    return [offer_of(package, rule) for package in session.scalars(query) if _is_for(package, group)]


def find_offered(session: Session, code: str, now: datetime) -> Package:
    """The package that is on sale under this code. Raises: PackageNotOffered."""
    package = None
    if plausible(code):
        package = session.scalar(select(Package).where(Package.code == code, _on_sale(now)))
    if package is None:
        raise PackageNotOffered
    return package


def check_audience(package: Package, group: Group) -> None:
    """Return when an account of this group may buy. Raises: NotForYou."""
    if not _is_for(package, group):
        raise NotForYou


def check_stock(package: Package) -> None:
    """Return when there seems to be one left; only `take_one` is certain. Raises: SoldOut."""
    if package.stock_left == 0:
        raise SoldOut


def take_one(session: Session, package: Package, now: datetime) -> None:
    """Take one piece off the stock, if it has one. Raises: SoldOut - somebody else took the last."""
    if package.stock_left is None:
        return
    # Under the row's lock the database looks again: no two buyers get the same piece.
    statement = (
        update(Package)
        .where(Package.code == package.code, Package.stock_left > 0, _on_sale(now))
        .values(stock_left=Package.stock_left - 1)
    )
    if rows_changed(session, statement) != 1:
        raise SoldOut


def offer_of(package: Package, rule: TrafficRule) -> Offer:
    """A package as a buyer sees it under a rule."""
    return Offer(
        code=package.code,
        name=package.name,
        price_fen=package.price_fen,
        quota_bytes=quota_bytes(rule, package.quota_bytes),
        validity_months=package.validity_months,
        special=package.special,
        sale_until=package.sale_until,
        stock_left=package.stock_left,
        limit_each=package.limit_each,
    )


def _is_for(package: Package, group: Group | None) -> bool:
    kinds, departments = package.for_kinds, package.for_departments
    if group is None:
        return kinds is None and departments is None
    return (kinds is None or group.kind in kinds) and (departments is None or group.department in departments)


def _on_sale(now: datetime) -> ColumnElement[bool]:
    return and_(Package.sale_from <= now, or_(Package.sale_until.is_(None), Package.sale_until > now))
