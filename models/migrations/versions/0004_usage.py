"""Accounting sessions, their samples, the use of lots; days know fast from slow.

The days of 0001 knew one figure: it is kept as download at full speed.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("usage_sample", "lot_use")


def upgrade() -> None:
    """Create the tables; what was taken from lots before is written down as one use each."""
    _create_sessions()
    _create_samples()
    _create_lot_use()
    _create_days()
    _forbid_changes()


def downgrade() -> None:
    """Back to days with one figure; sessions and samples are lost."""
    op.create_table(
        "daily_usage",
        sa.Column("account_no", sa.String(32), sa.ForeignKey("account.account_no"), primary_key=True),
        sa.Column("used_on", sa.Date(), primary_key=True),
        _number("used_bytes"),
        sa.CheckConstraint("used_bytes > 0", name="used_positive"),
    )
    op.execute(
        "INSERT INTO daily_usage SELECT account_no, used_on, fast_bytes + throttled_bytes "
        "FROM usage_day WHERE fast_bytes + throttled_bytes > 0"
    )
    for table in ("usage_day", "lot_use", "usage_sample", "accounting_session"):
        op.drop_table(table)


def _create_sessions() -> None:
    op.create_table(
        "accounting_session",
        sa.Column("id", ID, nullable=False),
        _text("account_no", 32),
        _text("nas", 64),
        _text("session_no", 64),
        _text("address", 45, nullable=True),
        _at("started_at"),
        _at("nas_started_at"),
        _at("last_at"),
        _number("up_bytes"),
        _number("down_bytes"),
        _at("ended_at", nullable=True),
        _text("end_reason", 8, nullable=True),
        sa.CheckConstraint(
            "up_bytes >= 0 AND down_bytes >= 0", name=op.f("ck_accounting_session_not_negative")
        ),
        _to("accounting_session", "account_no", "account.account_no"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounting_session")),
        sa.UniqueConstraint(
            "session_no",
            "nas",
            "account_no",
            "started_at",
            name=op.f("uq_accounting_session_session_no_nas_account_no_started_at"),
        ),
    )
    op.create_index(
        "ix_accounting_session_account_started", "accounting_session", ["account_no", "started_at", "id"]
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_accounting_session_open",
        "accounting_session",
        ["nas", "last_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _create_samples() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("accounting_session_id", ID, nullable=False),
        _at("event_at"),
        _text("kind", 8),
        _number("up_octets"),
        _number("down_octets"),
        sa.Column("up_wide", sa.Boolean(), nullable=False),
        sa.Column("down_wide", sa.Boolean(), nullable=False),
        _at("began_at"),
    )
    op.create_table(
        "usage_sample",
        *columns,
        _at("received_at"),
        _to("usage_sample", "accounting_session_id", "accounting_session.id"),
        sa.PrimaryKeyConstraint(*(column.name for column in columns), name=op.f("pk_usage_sample")),
    )


def _create_lot_use() -> None:
    op.create_table(
        "lot_use",
        sa.Column("id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("used_on", sa.Date(), nullable=False),
        _number("used_bytes"),
        _at("at"),
        sa.CheckConstraint("used_bytes <> 0", name=op.f("ck_lot_use_used_not_zero")),
        _to("lot_use", "lot_id", "traffic_lot.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot_use")),
    )
    op.create_index(op.f("ix_lot_use_lot_id"), "lot_use", ["lot_id"])
    # Earlier use is known per lot only: it is written on the day on which the lot began.
    op.execute(
        "INSERT INTO lot_use (lot_id, used_on, used_bytes, at) "
        "SELECT id, date(starts_at), used_bytes, starts_at FROM traffic_lot WHERE used_bytes > 0"
    )


def _create_days() -> None:
    op.create_table(
        "usage_day",
        _text("account_no", 32),
        sa.Column("used_on", sa.Date(), nullable=False),
        _number("up_bytes"),
        _number("down_bytes"),
        _number("fast_bytes"),
        _number("throttled_bytes"),
        sa.CheckConstraint("up_bytes >= 0 AND down_bytes >= 0", name=op.f("ck_usage_day_sent_not_negative")),
        sa.CheckConstraint(
            "fast_bytes >= 0 AND throttled_bytes >= 0", name=op.f("ck_usage_day_counted_not_negative")
        ),
        _to("usage_day", "account_no", "account.account_no"),
        sa.PrimaryKeyConstraint("account_no", "used_on", name=op.f("pk_usage_day")),
    )
    op.execute(
        "INSERT INTO usage_day SELECT account_no, used_on, 0, used_bytes, used_bytes, 0 FROM daily_usage"
    )
    op.drop_table("daily_usage")


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION campusnet_append_only()"
        )


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.split('.', maxsplit=1)[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name))


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
