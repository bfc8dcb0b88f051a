"""Who corrected the bank details of a payout last: somebody else puts it on the next list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody is known to have corrected what is there."""
    op.add_column("payout", sa.Column("bank_by", sa.String(64), nullable=True))


def downgrade() -> None:
    """Forget who corrected."""
    op.drop_column("payout", "bank_by")
