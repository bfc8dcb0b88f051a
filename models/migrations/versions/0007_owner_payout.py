"""Payouts that the owner of the account asks for: two operators agree, one after the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Requests that are there already come from operators."""
    op.add_column("payout", sa.Column("by_owner", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("payout", sa.Column("checked_by", sa.String(64), nullable=True))


def downgrade() -> None:
    """Forget who asked."""
    for column in ("checked_by", "by_owner"):
        op.drop_column("payout", column)
