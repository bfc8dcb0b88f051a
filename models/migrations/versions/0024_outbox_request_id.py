"""The request that enqueued an item of the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Items from before have none."""
    op.add_column("outbox", sa.Column("request_id", sa.String(32), nullable=True))


def downgrade() -> None:
    """Forget the ids."""
    op.drop_column("outbox", "request_id")
