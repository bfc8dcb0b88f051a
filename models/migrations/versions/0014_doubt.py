"""Unanswered calls to billing: since when they are in doubt, and the backend's identifier for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Tables whose late calls are undone by another call.
UNDONE = ("credit", "payout_part")
TABLES = ("credit", "refund", "payout_part", "swap_intent")
# What may have been sent without an answer is in doubt from its last change on.
DOUBTFUL = {
    "credit": "status IN ('SENDING', 'UNKNOWN')",
    "refund": "reversal IN ('SENDING', 'UNKNOWN')",
    "payout_part": "status IN ('SENDING', 'UNKNOWN')",
    "swap_intent": """status = 'WAITING' AND EXISTS (
        SELECT 1 FROM outbox JOIN orders ON orders.order_no = outbox.key
        WHERE outbox.kind = 'swap' AND outbox.attempts > 0 AND orders.id = swap_intent.order_id)""",
}


def upgrade() -> None:
    """Calls under way keep their doubt."""
    for table in TABLES:
        op.add_column(table, sa.Column("doubt_from", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("prepared_ref", sa.String(64), nullable=True))
        if table in UNDONE:
            op.add_column(table, sa.Column("undo_key", sa.String(64), nullable=True))
        op.execute(f"UPDATE {table} SET doubt_from = changed_at WHERE {DOUBTFUL[table]}")  # noqa: S608 - ours


def downgrade() -> None:
    """Forget since when a call is in doubt."""
    for table in TABLES:
        if table in UNDONE:
            op.drop_column(table, "undo_key")
        op.drop_column(table, "prepared_ref")
        op.drop_column(table, "doubt_from")
