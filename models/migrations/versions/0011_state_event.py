"""State events: one row per state change of credits, refunds, payouts, return items and transfers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Earlier changes have no event."""
    op.create_table(
        "state_event",
        sa.Column("id", ID, nullable=False),
        sa.Column("subject", sa.String(24), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("old", sa.String(16), nullable=False),
        sa.Column("new", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state_event")),
    )
    op.create_index("ix_state_event_subject", "state_event", ["subject", "subject_id", "id"])


def downgrade() -> None:
    """Forget the events."""
    op.drop_table("state_event")
