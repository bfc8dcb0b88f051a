"""Backups and recovery: what prepay attached, payouts of unknown fate, backup runs, recoveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Attempts that exist were sent without attach, and are sent again without."""
    op.add_column("payment_attempt", sa.Column("attach", sa.String(128), nullable=True))
    op.add_column(
        "payout_part",
        sa.Column("fate_unknown", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "backup_run",
        sa.Column("id", ID, nullable=False),
        sa.Column("backup_no", sa.String(64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_run")),
        sa.UniqueConstraint("backup_no", name=op.f("uq_backup_run_backup_no")),
    )
    op.create_table(
        "recovery",
        sa.Column("id", ID, nullable=False),
        sa.Column("backup_no", sa.String(64), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("read_until", sa.Date(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("done_by", sa.String(64), nullable=True),
        sa.Column("skip_by", sa.String(64), nullable=True),
        sa.Column("skip_reason", sa.String(200), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery")),
    )
    op.create_index("ix_recovery_status", "recovery", ["status"])


def downgrade() -> None:
    """Forget backups and recoveries."""
    op.drop_table("recovery")
    op.drop_table("backup_run")
    op.drop_column("payout_part", "fate_unknown")
    op.drop_column("payment_attempt", "attach")
