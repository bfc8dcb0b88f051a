"""What is for sale now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from billing.interface import Offer
from models.package import Package


def offers(session: Session, now: datetime) -> list[Offer]:
    """Packages on sale at `now`, specials first, then by price."""
    query = (
        select(Package)
        .where(Package.sale_from <= now, or_(Package.sale_until.is_(None), Package.sale_until > now))
        .order_by(Package.special.desc(), Package.price_fen, Package.code)
    )
    return [_offer(package) for package in session.scalars(query)]


def _offer(package: Package) -> Offer:
    return Offer(
        code=package.code,
        name=package.name,
        price_fen=package.price_fen,
        quota_bytes=package.quota_bytes,
        validity_months=package.validity_months,
        special=package.special,
        sale_until=package.sale_until,
    )
