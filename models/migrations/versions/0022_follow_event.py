"""WeChat's time of the last event about following."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The first event after the upgrade counts, whenever it happened."""
    op.add_column("person", sa.Column("follow_event_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget it: events count in the order of their arrival."""
    with op.batch_alter_table("person") as table:
        table.drop_column("follow_event_at")
