"""The catalogue, the rules in force, what accounts bought, and the traffic they own and have used."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class LotKind(StrEnum):
    """Where a piece of traffic comes from; grants are used before packages."""

    GRANT = "grant"
    PACKAGE = "package"
    SPECIAL = "special"


class MonthRule(StrEnum):
    """What "one month" of a package means; docs/policy.md says which is the default and why."""

    SAME_DAY = "same_day"
    CALENDAR = "calendar"


class Counted(StrEnum):
    """Which direction of traffic comes off a lot."""

    BOTH = "both"
    DOWN = "down"
    UP = "up"


class Package(Base):
    """A package for sale between `sale_from` and `sale_until` (None: open-ended).

    `quota_bytes` is high-speed traffic as printed, 10^9 a GB; `TrafficRule.bytes_per_gb` says what
    a buyer gets. Beyond it the line is slowed down, never cut. `validity_months` counts as the rule
    says. `special` marks the monthly specials: they may have an audience (`for_kinds`,
    `for_departments`, None for everybody), a stock (`stock_left`) and a limit for each account.
    """

    __tablename__ = "package"
    __table_args__ = (
        CheckConstraint("price_fen > 0", name="price_positive"),
        # The second wall against overselling; the first is the guarded UPDATE of a purchase.
        CheckConstraint("stock_left >= 0", name="stock_not_negative"),
        CheckConstraint("limit_each > 0", name="limit_positive"),
    )

    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    price_fen: Mapped[int]
    quota_bytes: Mapped[int]
    validity_months: Mapped[int]
    special: Mapped[bool] = mapped_column(default=False)
    sale_from: Mapped[datetime]
    sale_until: Mapped[datetime | None]
    for_kinds: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    for_departments: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    stock_left: Mapped[int | None]
    limit_each: Mapped[int | None]


class TrafficRule(Base):
    """What the fee rules leave open, answered from a date on; the first row is docs/policy.md's default.

    A lot keeps the rule it was bought under. Append-only: a new answer is a new row.
    `ended_is_used_up`: whether the next package may be bought when the last one ended with a rest.
    `rest_carries_over`: whether that rest goes into the next package.
    """

    __tablename__ = "traffic_rule"
    __table_args__ = (CheckConstraint("bytes_per_gb > 0", name="base_positive"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    effective_from: Mapped[datetime] = mapped_column(unique=True)
    bytes_per_gb: Mapped[int]
    month_rule: Mapped[MonthRule] = mapped_column(String(16))
    counted: Mapped[Counted] = mapped_column(String(8))
    ended_is_used_up: Mapped[bool]
    rest_carries_over: Mapped[bool]


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

    A monthly grant is opened when it is first looked at, and is single by an index.
    A bought lot names its package and its rule, a grant the policy it was opened under. Time alone does
    not close a bought lot: the next purchase writes `closed_at` when this one is used up or has ended,
    and an index allows one that is not closed.
    """

    __tablename__ = "traffic_lot"
    __table_args__ = (
        Index(
            "uq_traffic_lot_grant",
            "account_no",
            "starts_at",
            unique=True,
            sqlite_where=text("kind = 'grant'"),
            postgresql_where=text("kind = 'grant'"),
        ),
        Index(
            "uq_traffic_lot_open",
            "account_no",
            unique=True,
            sqlite_where=text("kind <> 'grant' AND closed_at IS NULL"),
            postgresql_where=text("kind <> 'grant' AND closed_at IS NULL"),
        ),
        CheckConstraint("used_bytes >= 0 AND used_bytes <= total_bytes", name="used_within_total"),
        Index("ix_traffic_lot_account_ends", "account_no", "ends_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_no: Mapped[str] = mapped_column(ForeignKey("account.account_no"))
    kind: Mapped[LotKind] = mapped_column(String(16))
    package_code: Mapped[str | None] = mapped_column(ForeignKey("package.code"))
    grant_policy_id: Mapped[int | None] = mapped_column(ForeignKey("grant_policy.id"))
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("traffic_rule.id"))
    total_bytes: Mapped[int]
    used_bytes: Mapped[int] = mapped_column(default=0)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Purchase(Base):
    """One swap of money for a package, with price, quota and term as they were at that moment.

    `quota_bytes` is what the package gave, `carried_bytes` the rest of the last one that came with it.
    Append-only: triggers of the migration refuse changes.
    """

    __tablename__ = "purchase"
    __table_args__ = (
        CheckConstraint("price_fen > 0", name="price_positive"),
        Index("ix_purchase_account_id", "account_no", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    account_no: Mapped[str] = mapped_column(ForeignKey("account.account_no"))
    package_code: Mapped[str] = mapped_column(ForeignKey("package.code"))
    package_name: Mapped[str] = mapped_column(String(64))
    price_fen: Mapped[int]
    quota_bytes: Mapped[int]
    carried_bytes: Mapped[int]
    lot_id: Mapped[int] = mapped_column(ForeignKey("traffic_lot.id"), unique=True)
    balance_fen: Mapped[int]
    at: Mapped[datetime]
    ends_at: Mapped[datetime]
