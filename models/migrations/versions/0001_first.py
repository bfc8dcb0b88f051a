"""The first tables: people, orders, outbox, notices, accounts, ledger, catalogue, traffic.

Constraint names come from the naming convention in `models.base`, which therefore never changes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite counts rows by itself only for a column of the exact type INTEGER.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = (
    "person",
    "binding",
    "orders",
    "payment_attempt",
    "order_event",
    "payment_fact",
    "credit",
    "refund",
    "notify_inbox",
    "outbox",
    "notice",
    "broadcast",
    "broadcast_batch",
    "account",
    "ledger_entry",
    "ledger_posting",
    "package",
    "grant_policy",
    "traffic_lot",
    "daily_usage",
)
APPEND_ONLY = ("ledger_entry", "ledger_posting")


def upgrade() -> None:
    """Create every table, then make the ledger append-only."""
    _create_people()
    _create_orders()
    _create_payments()
    _create_money_out()
    _create_notify_and_outbox()
    _create_notices()
    _create_ledger()
    _create_catalogue()
    _create_traffic()
    if op.get_bind().dialect.name == "sqlite":
        _forbid_changes_sqlite()
    else:
        _forbid_changes_postgresql()


def downgrade() -> None:
    """Drop every table; triggers and indexes go with them."""
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION campusnet_append_only()")


def _id() -> sa.Column[int]:
    return sa.Column("id", ID, primary_key=True)


def _ref(name: str, target: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, ID, sa.ForeignKey(target), **{"nullable": False, **more})


def _text(name: str, length: int, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), **{"nullable": False, **more})


def _number(name: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), **{"nullable": False, **more})


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _create_people() -> None:
    op.create_table(
        "person",
        _id(),
        _text("openid", 64, unique=True),
        _text("scene", 64, nullable=True),
        _at("followed_at", nullable=True),
        _at("unfollowed_at", nullable=True),
        _at("created_at"),
    )
    op.create_table(
        "binding",
        _id(),
        _ref("person_id", "person.id"),
        _text("account_no", 32),
        _at("bound_at"),
        _at("unbound_at", nullable=True),
    )
    _partial_index("uq_binding_open", "binding", ["person_id"], "unbound_at IS NULL", unique=True)
    op.create_index("ix_binding_account_open", "binding", ["account_no", "unbound_at"])


def _create_orders() -> None:
    op.create_table(
        "orders",
        _id(),
        _text("order_no", 32, unique=True),
        _text("open_key", 160, nullable=True, unique=True),
        _text("source", 16),
        _text("payer_openid", 64),
        _text("account_no", 32),
        _text("masked_name", 64),
        _number("amount_fen"),
        _text("status", 16),
        _flag("late"),
        _text("transaction_id", 64, nullable=True, unique=True),
        _at("created_at"),
        _at("expires_at"),
        _at("paid_at", nullable=True),
        sa.CheckConstraint("amount_fen > 0", name="amount_positive"),
    )
    op.create_index("ix_orders_payer_id", "orders", ["payer_openid", "id"])
    op.create_index("ix_orders_account_id", "orders", ["account_no", "id"])
    op.create_index("ix_orders_status_expires", "orders", ["status", "expires_at"])
    op.create_table(
        "order_event",
        _id(),
        _ref("order_id", "orders.id"),
        _text("status", 16),
        _text("action", 16),
        _text("cause", 64),
        _at("at"),
        sa.UniqueConstraint("order_id", "status"),
    )


def _create_payments() -> None:
    op.create_table(
        "payment_attempt",
        _id(),
        _ref("order_id", "orders.id"),
        _number("seq"),
        _text("out_trade_no", 32, unique=True),
        _text("prepay_id", 64, nullable=True),
        _at("prepaid_at", nullable=True),
        _at("created_at"),
        sa.UniqueConstraint("order_id", "seq"),
    )
    op.create_table(
        "payment_fact",
        _id(),
        _ref("order_id", "orders.id"),
        _text("provider", 16),
        _text("transaction_id", 64),
        _text("out_trade_no", 32),
        _number("amount_fen"),
        _text("cause", 64),
        _at("paid_at"),
        _at("recorded_at"),
        sa.UniqueConstraint("provider", "transaction_id"),
        sa.UniqueConstraint("provider", "out_trade_no"),
        sa.CheckConstraint("amount_fen > 0", name="amount_positive"),
    )


def _create_money_out() -> None:
    op.create_table(
        "credit",
        _id(),
        _ref("order_id", "orders.id", unique=True),
        _text("credit_no", 40, unique=True),
        _text("account_no", 32),
        _number("amount_fen"),
        _text("status", 16),
        _text("reason", 200, nullable=True),
        _number("balance_after_fen", nullable=True),
        _at("created_at"),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name="amount_positive"),
    )
    op.create_index("ix_credit_status_at", "credit", ["status", "changed_at"])
    op.create_table(
        "refund",
        _id(),
        _ref("order_id", "orders.id", index=True),
        _text("out_refund_no", 64, unique=True),
        _text("refund_id", 64, nullable=True, unique=True),
        _number("amount_fen"),
        _text("reason", 200),
        _text("status", 16),
        _at("created_at"),
        _at("changed_at"),
        sa.CheckConstraint("amount_fen > 0", name="amount_positive"),
    )


def _create_notify_and_outbox() -> None:
    op.create_table(
        "notify_inbox",
        _id(),
        _text("event_id", 64, index=True),
        _text("event_type", 32),
        _text("serial", 64),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        _at("received_at"),
        _text("verdict", 200, nullable=True),
        _at("handled_at", nullable=True),
    )
    _partial_index("ix_notify_inbox_open", "notify_inbox", ["id"], "verdict IS NULL")
    op.create_table(
        "outbox",
        _id(),
        _text("kind", 32),
        _text("key", 80),
        sa.Column("payload", sa.JSON(), nullable=False),
        _text("status", 16),
        _number("attempts"),
        _at("next_at"),
        _text("lease_owner", 64, nullable=True),
        _at("leased_until", nullable=True),
        sa.Column("last_error", sa.Text()),
        _at("created_at"),
        _at("done_at", nullable=True),
        sa.UniqueConstraint("kind", "key"),
    )
    op.create_index("ix_outbox_ready", "outbox", ["status", "next_at"])


def _create_notices() -> None:
    op.create_table(
        "notice",
        _id(),
        _text("title", 64),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "broadcast",
        _id(),
        _text("key", 64, unique=True),
        _ref("notice_id", "notice.id"),
        _text("audience", 16),
        _text("audience_arg", 64, nullable=True),
        _text("status", 16),
        _number("recipients"),
        _at("created_at"),
        _at("finished_at", nullable=True),
    )
    op.create_table(
        "broadcast_batch",
        _id(),
        _ref("broadcast_id", "broadcast.id"),
        _number("seq"),
        _text("clientmsgid", 64, unique=True),
        sa.Column("openids", sa.JSON(), nullable=False),
        _text("status", 16),
        _text("msg_id", 32, nullable=True, index=True),
        sa.Column("result", sa.JSON()),
        _at("submitted_at", nullable=True),
        _at("finished_at", nullable=True),
        sa.UniqueConstraint("broadcast_id", "seq"),
    )


def _create_ledger() -> None:
    op.create_table(
        "account",
        _text("account_no", 32, primary_key=True),
        _text("name", 64),
        _text("kind", 32),
        _text("department", 64),
        _flag("active"),
        _number("balance_fen"),
        _at("created_at"),
        sa.CheckConstraint("balance_fen >= 0", name="balance_not_negative"),
    )
    op.create_table(
        "ledger_entry",
        _id(),
        _text("key", 80, unique=True),
        _text("kind", 32),
        _text("memo", 200),
        _ref("corrects", "ledger_entry.id", nullable=True),
        _at("at"),
    )
    op.create_table(
        "ledger_posting",
        _id(),
        _ref("entry_id", "ledger_entry.id", index=True),
        _text("book", 64),
        _number("amount_fen"),
        sa.CheckConstraint("amount_fen <> 0", name="amount_not_zero"),
    )
    op.create_index("ix_ledger_posting_book_id", "ledger_posting", ["book", "id"])


def _create_catalogue() -> None:
    op.create_table(
        "package",
        _text("code", 32, primary_key=True),
        _text("name", 64),
        _number("price_fen"),
        _number("quota_bytes"),
        _number("validity_months"),
        _flag("special"),
        _at("sale_from"),
        _at("sale_until", nullable=True),
        sa.CheckConstraint("price_fen > 0", name="price_positive"),
    )
    op.create_table(
        "grant_policy",
        _id(),
        _text("kind", 32),
        _at("effective_from"),
        _number("quota_bytes"),
        _number("throttled_kbps"),
        _flag("example"),
        sa.UniqueConstraint("kind", "effective_from"),
    )


def _create_traffic() -> None:
    op.create_table(
        "traffic_lot",
        _id(),
        sa.Column("account_no", sa.String(32), sa.ForeignKey("account.account_no"), nullable=False),
        _text("kind", 16),
        sa.Column("package_code", sa.String(32), sa.ForeignKey("package.code")),
        _ref("grant_policy_id", "grant_policy.id", nullable=True),
        _number("total_bytes"),
        _number("used_bytes"),
        _at("starts_at"),
        _at("ends_at"),
        sa.UniqueConstraint("account_no", "kind", "starts_at"),
        sa.CheckConstraint("used_bytes >= 0 AND used_bytes <= total_bytes", name="used_within_total"),
    )
    op.create_index("ix_traffic_lot_account_ends", "traffic_lot", ["account_no", "ends_at"])
    op.create_table(
        "daily_usage",
        sa.Column("account_no", sa.String(32), sa.ForeignKey("account.account_no"), primary_key=True),
        sa.Column("used_on", sa.Date(), primary_key=True),
        _number("used_bytes"),
        sa.CheckConstraint("used_bytes > 0", name="used_positive"),
    )


def _forbid_changes_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _forbid_changes_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION campusnet_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION campusnet_append_only()"
        )
