"""Refunds, allocation, journal, review, reconciliation, periodic jobs.

The refund table of 0001 was never written to: it is replaced, not altered.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEW = (
    "periodic",
    "recon_difference",
    "recon_run",
    "review_item",
    "journal_seal",
    "journal",
    "allocation",
)
APPEND_ONLY = ("journal", "journal_seal")
# Older tables of which reconciliation reads one day.
DAY_INDEXES = (
    ("ix_payment_fact_paid_at", "payment_fact", "paid_at"),
    ("ix_ledger_entry_at", "ledger_entry", "at"),
)


def upgrade() -> None:
    """Create the tables; the journal and its seals can only grow."""
    op.drop_table("refund")
    _create_refund()
    _create_allocation()
    _create_journal()
    _create_review()
    _create_reconciliation()
    op.create_table(
        "periodic",
        _text("name", 32, nullable=False),
        _at("next_at"),
        _at("last_at", nullable=True),
        _text("last_error", 200, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_periodic")),
    )
    _forbid_changes()


def downgrade() -> None:
    """Back to 0001, with its empty refund table."""
    for index, table, _column in DAY_INDEXES:
        op.drop_index(index, table)
    for table in (*NEW, "refund"):
        op.drop_table(table)
    op.create_table(
        "refund",
        sa.Column("id", ID, nullable=False),
        _key("order_id"),
        _text("out_refund_no", 64, nullable=False),
        _text("refund_id", 64, nullable=True),
        _number("amount_fen"),
        _text("reason", 200, nullable=False),
        _text("status", 16, nullable=False),
        _at("created_at"),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_amount_positive")),
        _to("refund", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("out_refund_no", name=op.f("uq_refund_out_refund_no")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_refund_refund_id")),
    )
    op.create_index(op.f("ix_refund_order_id"), "refund", ["order_id"])


def _create_refund() -> None:
    op.create_table(
        "refund",
        sa.Column("id", ID, nullable=False),
        _key("order_id"),
        _text("out_refund_no", 64, nullable=False),
        _text("out_trade_no", 32, nullable=False),
        _text("refund_id", 64, nullable=True),
        _number("amount_fen"),
        _text("reason", 80, nullable=False),
        _text("origin", 16, nullable=False),
        _text("status", 16, nullable=False),
        _text("reversal", 16, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        _text("requested_by", 64, nullable=False),
        _text("approved_by", 64, nullable=True),
        _text("last_error", 200, nullable=True),
        _at("success_at", nullable=True),
        sa.Column("billed_on", sa.Date(), nullable=True),
        _at("created_at"),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_amount_positive")),
        _to("refund", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("out_refund_no", name=op.f("uq_refund_out_refund_no")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_refund_refund_id")),
    )
    op.create_index(op.f("ix_refund_order_id"), "refund", ["order_id"])
    op.create_index("ix_refund_status_changed", "refund", ["status", "changed_at"])


def _create_allocation() -> None:
    op.create_table(
        "allocation",
        _key("order_id"),
        _number("paid_fen"),
        _number("credit_fen"),
        _number("reversed_fen"),
        _number("refund_fen"),
        sa.CheckConstraint(
            "credit_fen - reversed_fen + refund_fen <= paid_fen", name=op.f("ck_allocation_spent_once")
        ),
        sa.CheckConstraint("credit_fen >= 0 AND refund_fen >= 0", name=op.f("ck_allocation_not_negative")),
        sa.CheckConstraint(
            "reversed_fen >= 0 AND reversed_fen <= credit_fen",
            name=op.f("ck_allocation_reversed_within_credit"),
        ),
        _to("allocation", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_allocation")),
    )
    # What was paid before this revision: its credit speaks for it unless it was voided.
    op.execute(
        "INSERT INTO allocation (order_id, paid_fen, credit_fen, reversed_fen, refund_fen) "
        "SELECT f.order_id, SUM(f.amount_fen), "
        "COALESCE((SELECT c.amount_fen FROM credit c WHERE c.order_id = f.order_id "
        "AND c.status IN ('SENDING', 'UNKNOWN', 'MANUAL', 'CREDITED')), 0), 0, 0 "
        "FROM payment_fact f GROUP BY f.order_id"
    )


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("id", ID, nullable=False),
        _at("at"),
        _text("what", 32, nullable=False),
        _text("order_no", 32, nullable=True),
        _text("actor", 64, nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index(op.f("ix_journal_order_no"), "journal", ["order_no"])
    op.create_table(
        "journal_seal",
        sa.Column("position", ID, autoincrement=False, nullable=False),
        _key("journal_id"),
        _text("hash", 64, nullable=False),
        _to("journal_seal", "journal_id", "journal.id"),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_journal_seal")),
        sa.UniqueConstraint("journal_id", name=op.f("uq_journal_seal_journal_id")),
    )


def _create_review() -> None:
    op.create_table(
        "review_item",
        sa.Column("id", ID, nullable=False),
        _text("kind", 32, nullable=False),
        _text("key", 80, nullable=False),
        _key("order_id", nullable=True),
        _number("amount_fen", nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        _text("status", 16, nullable=False),
        _text("owner", 64, nullable=True),
        sa.Column("proposal", sa.JSON(), nullable=True),
        _text("proposed_by", 64, nullable=True),
        _text("approved_by", 64, nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        _text("outcome", 64, nullable=True),
        _at("opened_at"),
        _at("closed_at", nullable=True),
        _to("review_item", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_item")),
        sa.UniqueConstraint("kind", "key", name=op.f("uq_review_item_kind_key")),
    )
    op.create_index(op.f("ix_review_item_order_id"), "review_item", ["order_id"])
    op.create_index("ix_review_item_status_id", "review_item", ["status", "id"])


def _create_reconciliation() -> None:
    op.create_table(
        "recon_run",
        sa.Column("id", ID, nullable=False),
        sa.Column("bill_on", sa.Date(), nullable=False),
        _text("kind", 16, nullable=False),
        _text("status", 16, nullable=False),
        _text("bill_sha1", 40, nullable=True),
        sa.Column("totals", sa.JSON(), nullable=False),
        _at("started_at"),
        _at("finished_at", nullable=True),
        _text("signed_by", 64, nullable=True),
        _at("signed_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recon_run")),
        sa.UniqueConstraint("bill_on", "kind", name=op.f("uq_recon_run_bill_on_kind")),
    )
    op.create_table(
        "recon_difference",
        sa.Column("id", ID, nullable=False),
        _key("run_id"),
        _text("kind", 32, nullable=False),
        _text("key", 80, nullable=False),
        _text("order_no", 32, nullable=True),
        _number("amount_fen", nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        _text("action", 32, nullable=False),
        _to("recon_difference", "run_id", "recon_run.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recon_difference")),
        sa.UniqueConstraint("run_id", "kind", "key", name=op.f("uq_recon_difference_run_id_kind_key")),
    )
    op.create_index("ix_recon_difference_run_kind", "recon_difference", ["run_id", "kind"])
    for index, table, column in DAY_INDEXES:
        op.create_index(index, table, [column])


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


def _text(name: str, length: int, *, nullable: bool) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _key(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, ID, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
