"""Counter, bank lists, money that goes back, money out at graduation."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEW = (
    "payout_part",
    "payout",
    "bank_line",
    "bank_file",
    "counter_miss",
    "counter_booking",
    "return_item",
    "counter_day",
)


def upgrade() -> None:
    """Create the tables."""
    _create_days()
    _create_returns()
    _create_bookings()
    _create_bank()
    _create_payouts()


def downgrade() -> None:
    """Drop the tables."""
    for table in NEW:
        op.drop_table(table)


def _create_days() -> None:
    op.create_table(
        "counter_day",
        sa.Column("id", ID, nullable=False),
        _text("clerk", 64),
        sa.Column("business_on", sa.Date(), nullable=False),
        _number("booked_cash_fen"),
        _number("booked_transfer_fen"),
        _number("held_cash_fen"),
        _number("returned_cash_fen"),
        _number("counted_cash_fen", nullable=True),
        _at("closed_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_day")),
        sa.UniqueConstraint("clerk", "business_on", name=op.f("uq_counter_day_clerk_business_on")),
    )
    op.create_table(
        "counter_miss",
        sa.Column("id", ID, nullable=False),
        _text("clerk", 64),
        _at("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_miss")),
    )
    op.create_index("ix_counter_miss_clerk_at", "counter_miss", ["clerk", "at"])


def _create_returns() -> None:
    op.create_table(
        "return_item",
        sa.Column("id", ID, nullable=False),
        _text("return_no", 72),
        _text("way", 16),
        _text("reference", 64, nullable=True),
        _text("account_no", 32, nullable=True),
        _number("amount_fen"),
        _text("reason", 16),
        _key("refund_id", nullable=True),
        _text("status", 16),
        _text("opened_by", 64),
        _at("opened_at"),
        _text("returned_by", 64, nullable=True),
        sa.Column("returned_on", sa.Date(), nullable=True),
        _at("returned_at", nullable=True),
        _text("evidence", 200, nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_return_item_amount_positive")),
        _to("return_item", "refund_id", "refund.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_item")),
        sa.UniqueConstraint("return_no", name=op.f("uq_return_item_return_no")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_return_item_refund_id")),
    )
    op.create_index("ix_return_item_status_id", "return_item", ["status", "id"])
    op.create_index("ix_return_item_returned", "return_item", ["returned_by", "returned_on"])


def _create_bookings() -> None:
    op.create_table(
        "counter_booking",
        sa.Column("id", ID, nullable=False),
        _text("receipt_no", 32),
        _text("channel", 16),
        _text("clerk", 64),
        sa.Column("business_on", sa.Date(), nullable=False),
        _text("way", 16),
        _text("reference", 64, nullable=True),
        _text("account_no", 32, nullable=True),
        _number("amount_fen"),
        _key("order_id", nullable=True),
        _key("return_item_id", nullable=True),
        _at("booked_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_counter_booking_amount_positive")),
        sa.CheckConstraint(
            "(order_id IS NULL) <> (return_item_id IS NULL)", name=op.f("ck_counter_booking_order_or_return")
        ),
        _to("counter_booking", "order_id", "orders.id"),
        _to("counter_booking", "return_item_id", "return_item.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_booking")),
        sa.UniqueConstraint("receipt_no", name=op.f("uq_counter_booking_receipt_no")),
        sa.UniqueConstraint("reference", name=op.f("uq_counter_booking_reference")),
        sa.UniqueConstraint("order_id", name=op.f("uq_counter_booking_order_id")),
        sa.UniqueConstraint("return_item_id", name=op.f("uq_counter_booking_return_item_id")),
    )
    op.create_index("ix_counter_booking_clerk_day", "counter_booking", ["clerk", "business_on"])


def _create_bank() -> None:
    op.create_table(
        "bank_file",
        sa.Column("id", ID, nullable=False),
        _text("sha256", 64),
        _text("imported_by", 64),
        _at("started_at"),
        _at("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_file")),
        sa.UniqueConstraint("sha256", name=op.f("uq_bank_file_sha256")),
    )
    op.create_table(
        "bank_line",
        sa.Column("id", ID, nullable=False),
        _key("file_id"),
        _number("line_no"),
        _text("reference", 64),
        _number("amount_fen"),
        _text("account_no", 32),
        _text("noted_name", 64),
        _text("status", 16),
        _text("reason", 16),
        _key("booking_id", nullable=True),
        _text("decided_by", 64),
        _at("decided_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_bank_line_amount_positive")),
        _to("bank_line", "file_id", "bank_file.id"),
        _to("bank_line", "booking_id", "counter_booking.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_line")),
        sa.UniqueConstraint("reference", name=op.f("uq_bank_line_reference")),
    )
    op.create_index("ix_bank_line_status_id", "bank_line", ["status", "id"])


def _create_payouts() -> None:
    op.create_table(
        "payout",
        sa.Column("id", ID, nullable=False),
        _text("payout_no", 32),
        _text("open_key", 32, nullable=True),
        _text("account_no", 32),
        _number("amount_fen"),
        sa.Column("formula", sa.JSON(), nullable=False),
        _text("status", 16),
        _text("payee", 64),
        _text("bank_name", 64),
        _text("bank_account", 40),
        _text("requested_by", 64),
        _text("decided_by", 64, nullable=True),
        _at("created_at"),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_payout_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("payout_no", name=op.f("uq_payout_payout_no")),
        sa.UniqueConstraint("open_key", name=op.f("uq_payout_open_key")),
    )
    op.create_index(op.f("ix_payout_account_no"), "payout", ["account_no"])
    op.create_table(
        "payout_part",
        sa.Column("id", ID, nullable=False),
        _key("payout_id"),
        _number("seq"),
        _text("part_no", 40),
        _text("way", 16),
        _number("amount_fen"),
        _text("order_no", 32, nullable=True),
        _key("refund_id", nullable=True),
        _text("list_no", 32, nullable=True),
        _text("status", 16),
        _text("last_error", 200, nullable=True),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_payout_part_amount_positive")),
        _to("payout_part", "payout_id", "payout.id"),
        _to("payout_part", "refund_id", "refund.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_part")),
        sa.UniqueConstraint("payout_id", "seq", name=op.f("uq_payout_part_payout_id_seq")),
        sa.UniqueConstraint("part_no", name=op.f("uq_payout_part_part_no")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_payout_part_refund_id")),
    )
    op.create_index("ix_payout_part_status_id", "payout_part", ["status", "id"])
    op.create_index("ix_payout_part_list_no", "payout_part", ["list_no"])


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.split('.', maxsplit=1)[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name))


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _key(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, ID, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
