"""The sum of a book is read from an index alone: a busy account's postings lie all over the table."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The index of a book, with the amounts in it."""
    op.create_index("ix_ledger_posting_book_id_amount", "ledger_posting", ["book", "id", "amount_fen"])
    op.drop_index("ix_ledger_posting_book_id", "ledger_posting")


def downgrade() -> None:
    """The index of a book, as it was."""
    op.create_index("ix_ledger_posting_book_id", "ledger_posting", ["book", "id"])
    op.drop_index("ix_ledger_posting_book_id_amount", "ledger_posting")
