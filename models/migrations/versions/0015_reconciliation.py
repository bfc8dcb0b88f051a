"""Frozen text of broadcasts, the first of two signatures under a reconciled day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A broadcast that was planned before sends the notice as it is now."""
    op.add_column("broadcast", sa.Column("content", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.execute(
        "UPDATE broadcast SET content = (SELECT title || '\n\n' || body FROM notice"
        " WHERE notice.id = broadcast.notice_id)"
    )
    applied = sa.text("new IN ('DONE', 'WITHDRAWN', 'LATE', 'TAKEN_BACK', 'RETURNED')")
    op.create_index(
        "ix_state_event_applied", "state_event", ["at"], sqlite_where=applied, postgresql_where=applied
    )
    op.add_column("recon_run", sa.Column("first_signed_by", sa.String(64), nullable=True))
    op.add_column("recon_run", sa.Column("first_signed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget the frozen text and first signatures."""
    op.drop_index("ix_state_event_applied", "state_event")
    op.drop_column("recon_run", "first_signed_at")
    op.drop_column("recon_run", "first_signed_by")
    op.drop_column("broadcast", "content")
