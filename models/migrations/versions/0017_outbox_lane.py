"""Lanes of the outbox with their partial index, and pauses of outside systems that fail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UNFINISHED = sa.text("status <> 'DONE'")


def upgrade() -> None:
    """Existing messages and alerts go to their lane; everything else is money."""
    op.add_column("outbox", sa.Column("lane", sa.String(16), nullable=False, server_default="money"))
    op.add_column("outbox", sa.Column("failures", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("touched_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE outbox SET lane = 'message' WHERE kind IN ('message', 'alert')")
    op.drop_index("ix_outbox_ready", "outbox")
    op.create_index(
        "ix_outbox_lane",
        "outbox",
        ["lane", "kind", "next_at"],
        postgresql_where=UNFINISHED,
        sqlite_where=UNFINISHED,
    )
    op.create_table(
        "lane_pause",
        sa.Column("remote", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last_key", sa.String(120), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alarmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alarm_key", sa.String(80), nullable=True),
        sa.PrimaryKeyConstraint("remote", name=op.f("pk_lane_pause")),
    )


def downgrade() -> None:
    """One queue again."""
    op.drop_table("lane_pause")
    op.drop_index("ix_outbox_lane", "outbox")
    op.create_index("ix_outbox_ready", "outbox", ["status", "next_at"])
    op.drop_column("outbox", "touched_at")
    op.drop_column("outbox", "failures")
    op.drop_column("outbox", "lane")
