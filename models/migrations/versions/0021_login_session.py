"""Login sessions and begun logins on the server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Logins of signed cookies end: everyone logs in once more."""
    op.create_table(
        "login_session",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("typed_at", AT, nullable=True),
        sa.Column("ticket_hash", sa.String(64), nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("seen_at", AT, nullable=False),
        sa.Column("expires_at", AT, nullable=False),
        sa.Column("ended_at", AT, nullable=True),
        sa.Column("end_cause", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_session_token_hash")),
    )
    op.create_index("ix_login_session_subject", "login_session", ["subject_kind", "subject", "id"])
    op.create_index(
        "ix_login_session_ticket",
        "login_session",
        ["ticket_hash"],
        sqlite_where=sa.text("ticket_hash IS NOT NULL"),
        postgresql_where=sa.text("ticket_hash IS NOT NULL"),
    )
    op.create_index("ix_login_session_expires", "login_session", ["expires_at"])
    op.create_table(
        "login_state",
        sa.Column("id", ID, nullable=False),
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("browser_hash", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=True),
        sa.Column("target", sa.String(500), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("code_verifier", sa.String(128), nullable=False),
        sa.Column("expires_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_state")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_login_state_state_hash")),
    )
    op.create_index("ix_login_state_expires", "login_state", ["expires_at"])


def downgrade() -> None:
    """End every login."""
    op.drop_table("login_state")
    op.drop_table("login_session")
