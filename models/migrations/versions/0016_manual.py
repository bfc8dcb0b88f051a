"""Manual resolution: adjusting entries, write-offs, closings, lists for the bank, clerks by their key."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from models.values.actor import Actor

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)
OPEN_DAY = sa.text("closed_at IS NULL")
SUMS = ("booked_cash_fen", "booked_transfer_fen", "held_cash_fen", "returned_cash_fen", "counted_cash_fen")
SPENT_ONCE = "credit_fen - reversed_fen + refund_fen + restored_fen + bank_fen <= paid_fen"
NOT_NEGATIVE = "credit_fen >= 0 AND refund_fen >= 0 AND restored_fen >= 0 AND bank_fen >= 0"
POSITIVE = "amount_fen > 0"
REVERSED = "reversed_fen >= 0 AND reversed_fen <= credit_fen"
ALLOCATED = ("paid_fen", "credit_fen", "reversed_fen", "refund_fen")


def upgrade() -> None:
    """Clerks under two spellings become one; lists that were handed out are known by number."""
    _create_adjustments()
    _create_write_offs()
    _create_closings()
    _widen_allocation()
    _widen_parts()
    _create_lists()
    _key_clerks()


def downgrade() -> None:
    """Forget all of it; the merged days of a clerk stay merged."""
    _clerks_by_name()
    for table in ("payout_list", "account_closing", "write_off", "adjustment"):
        op.drop_table(table)
    op.drop_index("ix_payout_part_out_trade_no", "payout_part")
    op.drop_index(op.f("ix_payout_part_order_id"), "payout_part")
    for column in ("failed_by", "out_trade_no", "order_id"):
        op.drop_column("payout_part", column)
    old = {
        "spent_once": "credit_fen - reversed_fen + refund_fen <= paid_fen",
        "not_negative": "credit_fen >= 0 AND refund_fen >= 0",
    }
    _rebuild_allocation(old, add=False)


def _create_adjustments() -> None:
    op.create_table(
        "adjustment",
        sa.Column("id", ID, nullable=False),
        _text("adjustment_no", 64),
        _text("kind", 16),
        _text("account_no", 32),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        _text("reason", 80),
        _text("evidence", 200),
        sa.Column("order_id", ID, nullable=True),
        _text("out_trade_no", 32, nullable=True),
        _text("status", 16),
        _text("last_error", 200, nullable=True),
        _text("requested_by", 64),
        _text("decided_by", 64, nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("changed_at", AT, nullable=False),
        _check("adjustment", "amount_not_zero", "amount_fen <> 0"),
        _check("adjustment", "put_back_positive", "kind <> 'PUT_BACK' OR amount_fen > 0"),
        _check("adjustment", "put_back_has_order", "(kind = 'PUT_BACK') = (order_id IS NOT NULL)"),
        _to("adjustment", "order_id", "orders"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjustment")),
        sa.UniqueConstraint("adjustment_no", name=op.f("uq_adjustment_adjustment_no")),
    )
    op.create_index("ix_adjustment_status_id", "adjustment", ["status", "id"])
    op.create_index("ix_adjustment_out_trade_no", "adjustment", ["out_trade_no"])
    op.create_index(op.f("ix_adjustment_account_no"), "adjustment", ["account_no"])
    op.create_index(op.f("ix_adjustment_order_id"), "adjustment", ["order_id"])


def _create_write_offs() -> None:
    op.create_table(
        "write_off",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("order_id", ID, nullable=True),
        _text("subject", 80),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        _text("kind", 16),
        _text("proposed_by", 64),
        _text("approved_by", 64),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("ended_at", AT, nullable=True),
        _check("write_off", "amount_positive", POSITIVE),
        _to("write_off", "item_id", "review_item"),
        _to("write_off", "order_id", "orders"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_off")),
    )
    op.create_index(op.f("ix_write_off_item_id"), "write_off", ["item_id"])
    op.create_index(op.f("ix_write_off_order_id"), "write_off", ["order_id"])


def _create_closings() -> None:
    op.create_table(
        "account_closing",
        sa.Column("id", ID, nullable=False),
        _text("open_key", 32, nullable=True),
        _text("account_no", 32),
        _text("status", 16),
        _text("requested_by", 64),
        _text("decided_by", 64, nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("changed_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_closing")),
        sa.UniqueConstraint("open_key", name=op.f("uq_account_closing_open_key")),
    )
    op.create_index(op.f("ix_account_closing_account_no"), "account_closing", ["account_no"])


def _widen_allocation() -> None:
    _rebuild_allocation({"spent_once": SPENT_ONCE, "not_negative": NOT_NEGATIVE}, add=True)


def _rebuild_allocation(checks: dict[str, str], *, add: bool) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_allocation_file(checks, add=add)
        return
    for name in checks:
        op.drop_constraint(op.f(f"ck_allocation_{name}"), "allocation", type_="check")
    for name in ("restored_fen", "bank_fen"):
        if add:
            op.add_column("allocation", _zero(name))
        else:
            op.drop_column("allocation", name)
    for name, rule in checks.items():
        op.create_check_constraint(op.f(f"ck_allocation_{name}"), "allocation", rule)


def _rebuild_allocation_file(checks: dict[str, str], *, add: bool) -> None:
    """SQLite changes no constraint in place: the rows move to a new table under the old name."""
    op.create_table(
        "allocation_new",
        sa.Column("order_id", ID, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ALLOCATED),
        *((_zero("restored_fen"), _zero("bank_fen")) if add else ()),
        *(_check("allocation", name, rule) for name, rule in checks.items()),
        _check("allocation", "reversed_within_credit", REVERSED),
        _to("allocation", "order_id", "orders"),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_allocation")),
    )
    columns = ", ".join(("order_id", *ALLOCATED))
    op.execute(sa.text(f"INSERT INTO allocation_new ({columns}) SELECT {columns} FROM allocation"))  # noqa: S608
    op.drop_table("allocation")
    op.rename_table("allocation_new", "allocation")


def _zero(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))


def _key() -> sa.Column[Any]:
    return sa.Column("clerk_key", sa.String(64), nullable=False, server_default=sa.text("''"))


def _widen_parts() -> None:
    op.add_column("payout_part", sa.Column("order_id", sa.BigInteger(), nullable=True))
    op.add_column("payout_part", sa.Column("out_trade_no", sa.String(32), nullable=True))
    op.add_column("payout_part", sa.Column("failed_by", sa.String(64), nullable=True))
    op.create_index(op.f("ix_payout_part_order_id"), "payout_part", ["order_id"])
    op.create_index("ix_payout_part_out_trade_no", "payout_part", ["out_trade_no"])


def _create_lists() -> None:
    op.create_table(
        "payout_list",
        sa.Column("id", ID, nullable=False),
        _text("list_no", 32),
        _text("made_by", 64),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_list")),
        sa.UniqueConstraint("list_no", name=op.f("uq_payout_list_list_no")),
    )
    # Who made earlier lists stands in the journal.
    op.execute(
        sa.text(
            "INSERT INTO payout_list (list_no, made_by, rows, amount_fen, created_at) "
            "SELECT list_no, '-', count(*), sum(amount_fen), min(changed_at) FROM payout_part "
            "WHERE list_no IS NOT NULL GROUP BY list_no ORDER BY min(id)"
        )
    )


def _key_clerks() -> None:
    op.drop_index("ix_counter_booking_clerk_day", "counter_booking")
    op.drop_index("ix_counter_miss_clerk_at", "counter_miss")
    op.drop_index("ix_return_item_returned", "return_item")
    for table in ("counter_booking", "counter_miss", "counter_day"):
        op.add_column(table, _key())
        _fill_keys(table, "clerk", "clerk_key")
    op.add_column("return_item", sa.Column("returned_key", sa.String(64), nullable=True))
    _fill_keys("return_item", "returned_by", "returned_key")
    op.add_column("counter_booking", _zero("prints"))
    _merge_days()
    with op.batch_alter_table("counter_day") as batch:
        batch.drop_constraint(op.f("uq_counter_day_clerk_business_on"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_counter_day_clerk_key_business_on"), ["clerk_key", "business_on"]
        )
    # Receipts of earlier bookings were printed when they were booked.
    op.execute(sa.text("UPDATE counter_booking SET prints = 1"))
    op.create_index("ix_counter_booking_clerk_day", "counter_booking", ["clerk_key", "business_on"])
    op.create_index("ix_counter_miss_clerk_at", "counter_miss", ["clerk_key", "at"])
    op.create_index("ix_return_item_returned", "return_item", ["returned_key", "returned_on"])
    op.create_index(
        "ix_counter_day_open",
        "counter_day",
        ["business_on"],
        sqlite_where=OPEN_DAY,
        postgresql_where=OPEN_DAY,
    )


def _clerks_by_name() -> None:
    op.drop_index("ix_counter_day_open", "counter_day")
    for name, table in (
        ("ix_counter_booking_clerk_day", "counter_booking"),
        ("ix_counter_miss_clerk_at", "counter_miss"),
        ("ix_return_item_returned", "return_item"),
    ):
        op.drop_index(name, table)
    op.drop_column("counter_booking", "clerk_key")
    op.drop_column("counter_booking", "prints")
    op.drop_column("counter_miss", "clerk_key")
    op.drop_column("return_item", "returned_key")
    with op.batch_alter_table("counter_day") as batch:
        batch.drop_constraint(op.f("uq_counter_day_clerk_key_business_on"), type_="unique")
        batch.create_unique_constraint(op.f("uq_counter_day_clerk_business_on"), ["clerk", "business_on"])
        batch.drop_column("clerk_key")
    op.create_index("ix_counter_booking_clerk_day", "counter_booking", ["clerk", "business_on"])
    op.create_index("ix_counter_miss_clerk_at", "counter_miss", ["clerk", "at"])
    op.create_index("ix_return_item_returned", "return_item", ["returned_by", "returned_on"])


def _fill_keys(table: str, name: str, key: str) -> None:
    rows = sa.table(table, sa.column(name, sa.String), sa.column(key, sa.String))
    connection = op.get_bind()
    for (typed,) in connection.execute(sa.select(rows.c[name]).where(rows.c[name].is_not(None)).distinct()):
        connection.execute(sa.update(rows).where(rows.c[name] == typed).values({key: Actor(typed).key[:64]}))


def _merge_days() -> None:
    """One day for one clerk: summed up where all of its spellings were closed, else open as a whole."""
    columns = ("id", "clerk_key", "business_on", "closed_at", *SUMS)
    day = sa.table("counter_day", *map(sa.column, columns))
    connection = op.get_bind()
    groups: dict[tuple[Any, Any], list[Any]] = {}
    for row in connection.execute(sa.select(day).order_by(day.c.id)):
        groups.setdefault((row.clerk_key, row.business_on), []).append(row)
    for rows in groups.values():
        if len(rows) == 1:
            continue
        closed = all(row.closed_at is not None for row in rows)
        values: dict[str, Any] = {
            name: sum(getattr(row, name) or 0 for row in rows) if closed else 0 for name in SUMS
        }
        if not closed:
            values |= {"counted_cash_fen": None, "closed_at": None}
        connection.execute(sa.update(day).where(day.c.id == rows[0].id).values(values))
        connection.execute(sa.delete(day).where(day.c.id.in_([row.id for row in rows[1:]])))


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}"))
