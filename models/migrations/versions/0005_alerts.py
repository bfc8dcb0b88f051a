"""Alerts that were raised, and who wants to hear of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "alert",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_no", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("cycle", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("account_no", "kind", "cycle", name=op.f("uq_alert_account_no_kind_cycle")),
    )
    op.create_index(op.f("ix_alert_at"), "alert", ["at"])
    op.create_table(
        "alert_choice",
        sa.Column("person_id", ID, autoincrement=False, nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("low_balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("low_balance_fen >= 0", name=op.f("ck_alert_choice_threshold_not_negative")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_alert_choice_person_id_person")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_alert_choice")),
    )


def downgrade() -> None:
    """Forget both."""
    for table in ("alert_choice", "alert"):
        op.drop_table(table)
