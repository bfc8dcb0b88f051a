"""What an operator does with the catalogue: put a package on sale, take a package off, look at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.errors import PackageNotOffered, Refused
from models.package import Package

# A code stands in the address of a page.
CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}", re.ASCII)
NAME_MAX = 64
# A million yuan, a petabyte, ten years: far beyond any package, and what the books can hold.
PRICE_MAX_FEN, QUOTA_MAX_BYTES, MONTHS_MAX = 10**8, 10**15, 120


class CodeTaken(Refused):
    """No code for an address, or there is, or was, a package with it; what was bought refers to it."""

    status = 409
    code = "E-PKG-CODE"

    def __init__(self, text: str = "套餐代码无效或已被使用") -> None:
        super().__init__(text)


class PackageWrong(Refused):
    """A package that could not be sold; the text says why."""

    code = "E-PKG-WRONG"


@dataclass(frozen=True)
class NewPackage:
    """A package as an operator enters it; `kinds` and `departments` empty: for everybody.

    A standard one (not `special`) may be sold without end.
    """

    code: str
    name: str
    price_fen: int
    quota_bytes: int
    sale_from: datetime
    sale_until: datetime | None
    special: bool
    stock: int | None = None
    limit_each: int | None = None
    kinds: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    validity_months: int = 1


def put_on_sale(session: Session, new: NewPackage, *, actor: str, now: datetime) -> None:
    """Put a package into the catalogue.

    Raises: CodeTaken; PackageWrong - no window, no name of one line, a figure below one or beyond all sense.
    """
    if new.special and new.sale_until is None:
        raise PackageWrong("特惠套餐必须有停售时间")
    if new.sale_until is not None and new.sale_until <= max(new.sale_from, now):
        raise PackageWrong("停售时间必须晚于开售时间，且在将来")
    figures = (new.price_fen, new.quota_bytes, new.validity_months, new.stock, new.limit_each)
    if min(figure for figure in figures if figure is not None) <= 0:
        raise PackageWrong("价格、流量、有效期、库存和限购数都必须大于 0")
    if not 0 < len(new.name) <= NAME_MAX or not new.name.isprintable():
        raise PackageWrong(f"套餐名称须为一行，1 到 {NAME_MAX} 个字")
    if new.price_fen > PRICE_MAX_FEN or new.quota_bytes > QUOTA_MAX_BYTES or new.validity_months > MONTHS_MAX:
        raise PackageWrong("价格、流量或有效期过大，请核对")
    if not CODE.fullmatch(new.code) or session.get(Package, new.code) is not None:
        raise CodeTaken
    session.add(
        Package(
            code=new.code,
            name=new.name,
            price_fen=new.price_fen,
            quota_bytes=new.quota_bytes,
            validity_months=new.validity_months,
            special=new.special,
            sale_from=new.sale_from,
            sale_until=new.sale_until,
            for_kinds=list(new.kinds) or None,
            for_departments=list(new.departments) or None,
            stock_left=new.stock,
            limit_each=new.limit_each,
        )
    )
    price = new.price_fen
    journal.note(
        session, "package-added", order_no=None, actor=actor, now=now, code=new.code, price_fen=price
    )


def retire(session: Session, code: str, *, actor: str, now: datetime) -> None:
    """Sell no more of a package from `now` on; what was bought runs on. Raises: PackageNotOffered."""
    package = session.scalar(select(Package).where(Package.code == code).with_for_update())
    if package is None or (package.sale_until is not None and package.sale_until <= now):
        raise PackageNotOffered
    package.sale_until = now
    journal.note(session, "package-retired", order_no=None, actor=actor, now=now, code=code)


def all_packages(session: Session) -> list[Package]:
    """Every package there is or was, by the beginning of its sale."""
    return list(session.scalars(select(Package).order_by(Package.sale_from, Package.code)))
