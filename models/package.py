"""The catalogue, the policies in force, and the traffic that accounts own and have used."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class LotKind(StrEnum):
    """Where a piece of traffic comes from; grants are used before packages."""

    GRANT = "grant"
    PACKAGE = "package"
    SPECIAL = "special"


class Package(Base):
    """A package for sale between `sale_from` and `sale_until` (None: open-ended).

    `quota_bytes` is high-speed traffic; beyond it the line is slowed down, never cut.
    `validity_months` counts as the policy says. `special` marks the monthly specials.
    """

    __tablename__ = "package"
    __table_args__ = (CheckConstraint("price_fen > 0", name="price_positive"),)

    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    price_fen: Mapped[int]
    quota_bytes: Mapped[int]
    validity_months: Mapped[int]
    special: Mapped[bool] = mapped_column(default=False)
    sale_from: Mapped[datetime]
    sale_until: Mapped[datetime | None]


class GrantPolicy(Base):
    """The free monthly traffic of a user group (`kind` of the account, `*` for all) from a date on.

    `example` marks demo values that no rule of the school stands behind.
    """

    __tablename__ = "grant_policy"
    __table_args__ = (UniqueConstraint("kind", "effective_from"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    effective_from: Mapped[datetime]
    quota_bytes: Mapped[int]
    throttled_kbps: Mapped[int]
    example: Mapped[bool] = mapped_column(default=False)


class TrafficLot(Base):
    """High-speed traffic an account may use between two instants; `used_bytes` never exceeds `total_bytes`.

    A monthly grant is opened when it is first looked at; `(account_no, kind, starts_at)` keeps it single.
    A bought lot names its package, a grant the policy it was opened under.
    """

    __tablename__ = "traffic_lot"
    __table_args__ = (
        UniqueConstraint("account_no", "kind", "starts_at"),
        CheckConstraint("used_bytes >= 0 AND used_bytes <= total_bytes", name="used_within_total"),
        Index("ix_traffic_lot_account_ends", "account_no", "ends_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_no: Mapped[str] = mapped_column(ForeignKey("account.account_no"))
    kind: Mapped[LotKind] = mapped_column(String(16))
    package_code: Mapped[str | None] = mapped_column(ForeignKey("package.code"))
    grant_policy_id: Mapped[int | None] = mapped_column(ForeignKey("grant_policy.id"))
    total_bytes: Mapped[int]
    used_bytes: Mapped[int] = mapped_column(default=0)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
