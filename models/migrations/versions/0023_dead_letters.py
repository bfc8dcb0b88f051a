"""Accounting records that could not be counted, doubts of 32-bit counters, where counters began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)
_OPEN = sa.text("replayed_at IS NULL")
_SESSION = (
    ("base_up_bytes", sa.BigInteger(), "0"),
    ("base_down_bytes", sa.BigInteger(), "0"),
    ("doubts", sa.BigInteger(), "0"),
    ("in_doubt", sa.Boolean(), sa.false()),
)


def upgrade() -> None:
    """Sessions so far began at zero, without a doubt that was noted."""
    op.create_table(
        "accounting_dead_letter",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("received_at", AT, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("replayed_at", AT, nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounting_dead_letter")),
        sa.UniqueConstraint("digest", name=op.f("uq_accounting_dead_letter_digest")),
    )
    op.create_index(
        "ix_accounting_dead_letter_open",
        "accounting_dead_letter",
        ["reason", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index("ix_accounting_dead_letter_received", "accounting_dead_letter", ["received_at"])
    op.create_table(
        "accounting_doubt",
        sa.Column("nas", sa.String(64), nullable=False),
        sa.Column("seen_on", sa.Date(), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nas", "seen_on", name=op.f("pk_accounting_doubt")),
    )
    for name, kind, default in _SESSION:
        column = sa.Column(name, kind, nullable=False, server_default=default)
        op.add_column("accounting_session", column)


def downgrade() -> None:
    """Records that were not counted are lost; counters that did not begin at zero would be counted again."""
    for name, _, _ in reversed(_SESSION):
        op.drop_column("accounting_session", name)
    op.drop_table("accounting_doubt")
    op.drop_table("accounting_dead_letter")
