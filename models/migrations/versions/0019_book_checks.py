"""Book checks: keyed seals, seals over the ledger, anchors, findings, held accounts, the opening baseline."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("ledger_seal", "audit_anchor", "opening_baseline")
_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Create the tables; openings that are there already become the baseline."""
    op.add_column("journal_seal", sa.Column("key_id", sa.String(16), nullable=True))
    _create_findings()
    _create_seals()
    op.execute(
        "INSERT INTO opening_baseline (last_entry_id, entries, total_fen, at) "
        "SELECT MAX(e.id), COUNT(*), SUM(p.amount_fen), MAX(e.at) FROM ledger_entry e "
        "JOIN ledger_posting p ON p.entry_id = e.id AND p.book LIKE 'account:%' "
        "WHERE e.kind = 'opening' HAVING COUNT(*) > 0"
    )
    _forbid_changes()


def downgrade() -> None:
    """Forget checks, holds and anchors; keyed seals keep their hash and lose the name of their key."""
    for table in (
        "account_hold",
        "book_finding",
        "book_check_run",
        "ledger_seal",
        "audit_anchor",
        "opening_baseline",
    ):
        op.drop_table(table)
    op.execute("ALTER TABLE journal_seal DROP COLUMN key_id")


def _create_findings() -> None:
    op.create_table(
        "book_check_run",
        sa.Column("id", ID, nullable=False),
        _at("started_at"),
        _at("finished_at", nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_book_check_run")),
    )
    op.create_index(op.f("ix_book_check_run_finished_at"), "book_check_run", ["finished_at"])
    op.create_table(
        "book_finding",
        sa.Column("id", ID, nullable=False),
        sa.Column("check_name", sa.String(24), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        _at("found_at"),
        sa.Column("run_id", ID, nullable=False),
        _at("ended_at", nullable=True),
        _at("accepted_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["book_check_run.id"], name=op.f("fk_book_finding_run_id_book_check_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_book_finding")),
    )
    op.create_index(
        "uq_book_finding_open",
        "book_finding",
        ["check_name", "subject"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "account_hold",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_no", sa.String(32), nullable=False),
        sa.Column("finding_id", ID, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        _at("since"),
        _at("ended_at", nullable=True),
        sa.Column("released_by", sa.String(64), nullable=True),
        sa.Column("approved_by", sa.String(64), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["book_finding.id"], name=op.f("fk_account_hold_finding_id_book_finding")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_hold")),
    )
    op.create_index(
        "ix_account_hold_open", "account_hold", ["account_no"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("uq_account_hold_finding", "account_hold", ["finding_id", "account_no"], unique=True)


def _create_seals() -> None:
    op.create_table(
        "ledger_seal",
        sa.Column("position", ID, autoincrement=False, nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=True),
        _at("sealed_at"),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_ledger_seal")),
    )
    op.create_table(
        "audit_anchor",
        sa.Column("id", ID, nullable=False),
        _at("at"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_anchor")),
    )
    op.create_table(
        "opening_baseline",
        sa.Column("id", ID, nullable=False),
        sa.Column("last_entry_id", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        _at("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opening_baseline")),
    )


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION campusnet_append_only()"
        )


def _at(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
