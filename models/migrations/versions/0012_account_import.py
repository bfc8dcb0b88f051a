"""Account imports with their rows; accounts are found in any case of their letters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

# Openings that are there already belong to one import of their own, so that a later one without an
# import can be told from them.
_OPENED = """
    FROM ledger_entry e
    JOIN ledger_posting p ON p.entry_id = e.id AND p.book <> 'clearing:opening'
    JOIN account a ON p.book = 'account:' || a.account_no
    WHERE e.kind = 'opening'
"""
_IMPORT = f"""
    INSERT INTO account_import
        (status, file_sha256, file_name, prepared_by, prepared_at, applied_at, rows, packages, total_fen)
    SELECT 'APPLIED', '', '', 'system', MAX(e.at), MAX(e.at), COUNT(*), 0, SUM(p.amount_fen)
    {_OPENED} HAVING COUNT(*) > 0
"""
_ROWS = f"""
    INSERT INTO account_import_row
        (import_id, line_no, account_no, name, kind, department, balance_fen, left_bytes, entry_id, opened_at)
    SELECT (SELECT MAX(id) FROM account_import), 0, a.account_no, a.name, a.kind, a.department,
        p.amount_fen, 0, e.id, e.at
    {_OPENED}
"""  # noqa: S608 - constants of this file


def upgrade() -> None:
    """Record the openings that exist; no account is changed."""
    op.create_table(
        "account_import",
        sa.Column("id", ID, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("file_sha256", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("prepared_by", sa.String(64), nullable=False),
        sa.Column("prepared_at", TIME, nullable=False),
        sa.Column("approved_by", sa.String(64), nullable=True),
        sa.Column("approved_at", TIME, nullable=True),
        sa.Column("applied_at", TIME, nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("packages", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("total_fen >= 0", name=op.f("ck_account_import_total_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_import")),
    )
    op.create_index("ix_account_import_file_sha256", "account_import", ["file_sha256"])
    op.create_table(
        "account_import_row",
        sa.Column("id", ID, nullable=False),
        sa.Column("import_id", ID, nullable=False),
        sa.Column("line_no", sa.BigInteger(), nullable=False),
        sa.Column("account_no", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("department", sa.String(64), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("package_code", sa.String(32), nullable=True),
        sa.Column("left_bytes", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", TIME, nullable=True),
        sa.Column("entry_id", ID, nullable=True),
        sa.Column("opened_at", TIME, nullable=True),
        sa.CheckConstraint("balance_fen >= 0", name=op.f("ck_account_import_row_balance_not_negative")),
        sa.ForeignKeyConstraint(
            ["import_id"], ["account_import.id"], name=op.f("fk_account_import_row_import_id_account_import")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name=op.f("fk_account_import_row_entry_id_ledger_entry")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_import_row")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_account_import_row_entry_id")),
        sa.UniqueConstraint(
            "import_id", "account_no", name=op.f("uq_account_import_row_import_id_account_no")
        ),
    )
    op.create_index("ix_account_lower", "account", [sa.text("lower(account_no)")])
    op.execute(_IMPORT)
    op.execute(_ROWS)


def downgrade() -> None:
    """Forget the imports; what they opened stays."""
    op.drop_index("ix_account_lower", "account")
    op.drop_table("account_import_row")
    op.drop_table("account_import")
