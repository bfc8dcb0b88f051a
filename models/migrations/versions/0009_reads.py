"""Payments are found by their order and callbacks by their time, without a walk through all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing ever asked for the callbacks without a verdict: they get it in the commit that keeps them."""
    op.create_index(op.f("ix_payment_fact_order_id"), "payment_fact", ["order_id"])
    op.create_index(op.f("ix_notify_inbox_received_at"), "notify_inbox", ["received_at"])
    op.drop_index("ix_notify_inbox_open", "notify_inbox")


def downgrade() -> None:
    """The indexes as they were."""
    open_ones = sa.text("verdict IS NULL")
    op.create_index(
        "ix_notify_inbox_open", "notify_inbox", ["id"], sqlite_where=open_ones, postgresql_where=open_ones
    )
    op.drop_index(op.f("ix_notify_inbox_received_at"), "notify_inbox")
    op.drop_index(op.f("ix_payment_fact_order_id"), "payment_fact")
