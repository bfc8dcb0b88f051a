"""Payments are found by order, callbacks by time, swaps that wait at once: none by a walk through all."""

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
    _partial("ix_swap_intent_waiting", "swap_intent", "order_id", "status = 'WAITING'")


def downgrade() -> None:
    """The indexes as they were."""
    op.drop_index("ix_swap_intent_waiting", "swap_intent")
    _partial("ix_notify_inbox_open", "notify_inbox", "id", "verdict IS NULL")
    op.drop_index(op.f("ix_notify_inbox_received_at"), "notify_inbox")
    op.drop_index(op.f("ix_payment_fact_order_id"), "payment_fact")


def _partial(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
