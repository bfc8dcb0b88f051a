"""Identity of a transfer: bank account, date, number, amount and payer instead of the number alone."""

from __future__ import annotations

import unicodedata
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEW_OF_BOOKINGS: dict[str, Any] = {
    "reference_key": sa.String(64),
    "transfer_key": sa.String(80),
    "payer_key": sa.String(32),
}
NEW_OF_LINES: dict[str, Any] = {
    "identity": sa.String(80),
    "source": sa.String(64),
    "occurred_on": sa.Date(),
    "reference_key": sa.String(64),
    "name_key": sa.String(64),
    "resembles_line_id": ID,
    "resembles_booking_id": ID,
    "proposal": sa.String(48),
    "proposed_by": sa.String(64),
}
NEEDED = ("identity", "source", "reference_key", "name_key")
RESEMBLES = (("resembles_line_id", "bank_line"), ("resembles_booking_id", "counter_booking"))
INDEXES = (
    ("ix_counter_booking_reference_key", "counter_booking", ["reference_key"]),
    ("ix_counter_booking_payer_amount", "counter_booking", ["payer_key", "amount_fen"]),
    ("ix_bank_line_reference_key", "bank_line", ["reference_key"]),
    ("ix_bank_line_account_amount", "bank_line", ["account_no", "amount_fen"]),
    ("ix_bank_line_name_amount", "bank_line", ["name_key", "amount_fen"]),
    ("ix_bank_line_booking_id", "bank_line", ["booking_id"]),
)
BATCH = 5000


def upgrade() -> None:
    """Transfers that were read before keep their number as their identity; their date is not known."""
    for table, columns in (("counter_booking", NEW_OF_BOOKINGS), ("bank_line", NEW_OF_LINES)):
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    _fill("counter_booking", {"transfer_key": _old_identity, "reference_key": _number, "payer_key": _payer})
    _fill(
        "bank_line",
        {"identity": _old_identity, "source": _nothing, "reference_key": _number, "name_key": _name},
    )
    if op.get_bind().dialect.name == "sqlite":
        # In one order: Alembic's own rebuilding puts the constraints in any.
        _rebuild("counter_booking", _bookings())
        op.create_index("ix_counter_booking_clerk_day", "counter_booking", ["clerk", "business_on"])
        _rebuild("bank_line", _lines())
        op.create_index("ix_bank_line_status_id", "bank_line", ["status", "id"])
    else:
        op.drop_constraint("uq_counter_booking_reference", "counter_booking", type_="unique")
        op.create_unique_constraint("uq_counter_booking_transfer_key", "counter_booking", ["transfer_key"])
        op.drop_constraint("uq_bank_line_reference", "bank_line", type_="unique")
        for name in NEEDED:
            op.alter_column("bank_line", name, nullable=False)
        op.create_unique_constraint("uq_bank_line_identity", "bank_line", ["identity"])
        for name, target in RESEMBLES:
            op.create_foreign_key(f"fk_bank_line_{name}_{target}", "bank_line", target, [name], ["id"])
    for index, table, names in INDEXES:
        op.create_index(index, table, names)


def downgrade() -> None:
    """Make the number unique again; fails where two transfers have the same one."""
    for index, table, _ in INDEXES:
        op.drop_index(index, table)
    with op.batch_alter_table("bank_line") as lines:
        for name, target in RESEMBLES:
            lines.drop_constraint(f"fk_bank_line_{name}_{target}", type_="foreignkey")
        lines.drop_constraint("uq_bank_line_identity", type_="unique")
        for name in NEW_OF_LINES:
            lines.drop_column(name)
        lines.create_unique_constraint("uq_bank_line_reference", ["reference"])
    with op.batch_alter_table("counter_booking") as bookings:
        bookings.drop_constraint("uq_counter_booking_transfer_key", type_="unique")
        for name in NEW_OF_BOOKINGS:
            bookings.drop_column(name)
        bookings.create_unique_constraint("uq_counter_booking_reference", ["reference"])


def _fill(name: str, makers: dict[str, Any]) -> None:
    """Compute the new columns of the rows there are."""
    read = ["id", "reference", "account_no", *(["noted_name"] if name == "bank_line" else [])]
    table = sa.table(name, *(sa.column(column) for column in (*read, *makers)))
    rows = [table.c[column] for column in read]
    connection, last = op.get_bind(), 0
    while True:
        query = sa.select(*rows).where(table.c.id > last, table.c.reference.is_not(None))
        found = connection.execute(query.order_by(table.c.id).limit(BATCH)).all()
        if not found:
            return
        for row in found:
            values = {column: make(row) for column, make in makers.items()}
            connection.execute(sa.update(table).where(table.c.id == row.id).values(**values))
        last = found[-1].id


def _old_identity(row: Any) -> str:
    return f"reference:{row.reference}"


def _number(row: Any) -> str:
    return _plain(row.reference).lstrip("0") or "0"


def _payer(row: Any) -> str:
    return (row.account_no or "").lower()


def _name(row: Any) -> str:
    return _plain(row.noted_name)


def _nothing(_row: Any) -> str:
    return ""


def _plain(text: str) -> str:
    # Unassigned characters may be Chinese ones that are newer than Python's tables.
    normal = unicodedata.normalize("NFKC", text).casefold()
    kept = (c for c in normal if c.isalnum() or unicodedata.category(c) == "Cn")
    return "".join(kept)[:64]


def _rebuild(name: str, items: list[Any]) -> None:
    made = op.create_table(f"{name}_new", *items)
    columns = ", ".join(column.name for column in made.columns)
    op.execute(f"INSERT INTO {name}_new ({columns}) SELECT {columns} FROM {name}")  # noqa: S608 - our names
    op.drop_table(name)
    op.rename_table(f"{name}_new", name)


def _bookings() -> list[Any]:
    return [
        sa.Column("id", ID, nullable=False),
        _text("receipt_no", 32),
        _text("channel", 16),
        _text("clerk", 64),
        sa.Column("business_on", sa.Date(), nullable=False),
        _text("way", 16),
        sa.Column("reference", sa.String(64)),
        sa.Column("account_no", sa.String(32)),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("order_id", ID),
        sa.Column("return_item_id", ID),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, kind) for name, kind in NEW_OF_BOOKINGS.items()),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_counter_booking_amount_positive")),
        sa.CheckConstraint(
            "(order_id IS NULL) <> (return_item_id IS NULL)", name=op.f("ck_counter_booking_order_or_return")
        ),
        _to("counter_booking", "order_id", "orders"),
        _to("counter_booking", "return_item_id", "return_item"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_booking")),
        sa.UniqueConstraint("receipt_no", name=op.f("uq_counter_booking_receipt_no")),
        sa.UniqueConstraint("transfer_key", name=op.f("uq_counter_booking_transfer_key")),
        sa.UniqueConstraint("order_id", name=op.f("uq_counter_booking_order_id")),
        sa.UniqueConstraint("return_item_id", name=op.f("uq_counter_booking_return_item_id")),
    ]


def _lines() -> list[Any]:
    return [
        sa.Column("id", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("line_no", sa.BigInteger(), nullable=False),
        _text("reference", 64),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        _text("account_no", 32),
        _text("noted_name", 64),
        _text("status", 16),
        _text("reason", 16),
        sa.Column("booking_id", ID),
        _text("decided_by", 64),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, kind, nullable=name not in NEEDED) for name, kind in NEW_OF_LINES.items()),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_bank_line_amount_positive")),
        _to("bank_line", "file_id", "bank_file"),
        _to("bank_line", "booking_id", "counter_booking"),
        *(_to("bank_line", name, target) for name, target in RESEMBLES),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_line")),
        sa.UniqueConstraint("identity", name=op.f("uq_bank_line_identity")),
    ]


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}_{target}"))


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)
