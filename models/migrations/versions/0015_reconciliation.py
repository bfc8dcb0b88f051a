"""Frozen text of broadcasts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A broadcast that was planned before sends the notice as it is now."""
    op.add_column("broadcast", sa.Column("content", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE broadcast SET content = (SELECT title || '\n\n' || body FROM notice"
        " WHERE notice.id = broadcast.notice_id)"
    )


def downgrade() -> None:
    """Forget the frozen text."""
    op.drop_column("broadcast", "content")
