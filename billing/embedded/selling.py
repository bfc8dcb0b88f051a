"""What an operator does with the catalogue: put a special on sale, take a package off, look at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded.accounts import plausible
from models.errors import PackageNotOffered, Refused
from models.package import Package


class CodeTaken(Refused):
    """There is, or was, a package with this code; what was bought refers to it."""

    status = 409
    code = "E-PKG-CODE"

    def __init__(self, text: str = "套餐代码无效或已被使用") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Special:
    """A special as an operator enters it; `kinds` and `departments` empty: for everybody."""

    code: str
    name: str
    price_fen: int
    quota_bytes: int
    sale_from: datetime
    sale_until: datetime
    stock: int | None = None
    limit_each: int | None = None
    kinds: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    validity_months: int = 1


def put_on_sale(session: Session, special: Special) -> None:
    """Put a special into the catalogue.

    Raises: CodeTaken; ValueError - an empty window, or a figure that is not above zero.
    """
    figures = (special.price_fen, special.quota_bytes, special.validity_months)
    limits = [limit for limit in (special.stock, special.limit_each) if limit is not None]
    if special.sale_until <= special.sale_from or min(*figures, *limits) <= 0:
        raise ValueError("a special has a window of sale, and figures above zero")
    if not plausible(special.code) or session.get(Package, special.code) is not None:
        raise CodeTaken
    session.add(
        Package(
            code=special.code,
            name=special.name,
            price_fen=special.price_fen,
            quota_bytes=special.quota_bytes,
            validity_months=special.validity_months,
            special=True,
            sale_from=special.sale_from,
            sale_until=special.sale_until,
            for_kinds=list(special.kinds) or None,
            for_departments=list(special.departments) or None,
            stock_left=special.stock,
            limit_each=special.limit_each,
        )
    )


def retire(session: Session, code: str, now: datetime) -> None:
    """Sell no more of a package from `now` on; what was bought runs on. Raises: PackageNotOffered."""
    package = session.scalar(select(Package).where(Package.code == code).with_for_update())
    if package is None or (package.sale_until is not None and package.sale_until <= now):
        raise PackageNotOffered
    package.sale_until = now


def all_packages(session: Session) -> list[Package]:
    """Every package there is or was, by the beginning of its sale."""
    return list(session.scalars(select(Package).order_by(Package.sale_from, Package.code)))
