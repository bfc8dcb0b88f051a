"""Package swaps: rules, purchases, one open package per account, specials, a swap after a recharge."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("traffic_rule", "purchase")


def upgrade() -> None:
    """Create the tables; rules and purchases can only grow."""
    op.create_table(
        "traffic_rule",
        sa.Column("id", ID, nullable=False),
        _at("effective_from"),
        _number("bytes_per_gb"),
        _text("month_rule", 16),
        _text("counted", 8),
        sa.Column("ended_is_used_up", sa.Boolean(), nullable=False),
        sa.Column("rest_carries_over", sa.Boolean(), nullable=False),
        sa.CheckConstraint("bytes_per_gb > 0", name=op.f("ck_traffic_rule_base_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic_rule")),
        sa.UniqueConstraint("effective_from", name=op.f("uq_traffic_rule_effective_from")),
    )
    # The defaults of docs/policy.md, older than anything that will ever be bought.
    op.execute(
        "INSERT INTO traffic_rule "
        "(effective_from, bytes_per_gb, month_rule, counted, ended_is_used_up, rest_carries_over) "
        "VALUES ('2000-01-01 00:00:00.000000', 1000000000, 'same_day', 'both', true, false)"
    )
    _extend_package()
    # Two packages may well begin at the same instant; two grants of a month may not.
    _make_lot_anew(
        sa.Column("rule_id", ID, nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        _to("traffic_lot", "rule_id", "traffic_rule.id"),
    )
    for name, columns, where in (
        ("uq_traffic_lot_grant", ["account_no", "starts_at"], "kind = 'grant'"),
        ("uq_traffic_lot_open", ["account_no"], "kind <> 'grant' AND closed_at IS NULL"),
    ):
        op.create_index(
            name,
            "traffic_lot",
            columns,
            unique=True,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
    op.create_table(
        "purchase",
        sa.Column("id", ID, nullable=False),
        _text("key", 80),
        _text("account_no", 32),
        _text("package_code", 32),
        _text("package_name", 64),
        _number("price_fen"),
        _number("quota_bytes"),
        _number("carried_bytes"),
        sa.Column("lot_id", ID, nullable=False),
        _number("balance_fen"),
        _at("at"),
        _at("ends_at"),
        sa.CheckConstraint("price_fen > 0", name=op.f("ck_purchase_price_positive")),
        _to("purchase", "account_no", "account.account_no"),
        _to("purchase", "package_code", "package.code"),
        _to("purchase", "lot_id", "traffic_lot.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase")),
        sa.UniqueConstraint("key", name=op.f("uq_purchase_key")),
        sa.UniqueConstraint("lot_id", name=op.f("uq_purchase_lot_id")),
    )
    op.create_index("ix_purchase_account_id", "purchase", ["account_no", "id"])
    op.create_table(
        "swap_intent",
        sa.Column("order_id", ID, autoincrement=False, nullable=False),
        _text("package_code", 32),
        _text("package_name", 64),
        _number("price_fen"),
        _text("status", 16),
        sa.Column("reason", sa.String(40), nullable=True),
        _at("changed_at"),
        sa.CheckConstraint("price_fen > 0", name=op.f("ck_swap_intent_price_positive")),
        _to("swap_intent", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_swap_intent")),
    )
    _forbid_changes()


def downgrade() -> None:
    """Back to 0002; purchases and rules are lost."""
    for table in ("swap_intent", "purchase"):
        op.drop_table(table)
    name = op.f("uq_traffic_lot_account_no_kind_starts_at")
    _make_lot_anew(sa.UniqueConstraint("account_no", "kind", "starts_at", name=name))
    for column in ("for_kinds", "for_departments", "stock_left", "limit_each"):
        op.execute(f"ALTER TABLE package DROP COLUMN {column}")
    op.drop_table("traffic_rule")


def _extend_package() -> None:
    # Written out: SQLite takes a check with a new column, though not afterwards.
    for column in (
        "for_kinds JSON",
        "for_departments JSON",
        "stock_left BIGINT CONSTRAINT ck_package_stock_not_negative CHECK (stock_left >= 0)",
        "limit_each BIGINT CONSTRAINT ck_package_limit_positive CHECK (limit_each > 0)",
    ):
        op.execute(f"ALTER TABLE package ADD COLUMN {column}")


def _make_lot_anew(*added: Any) -> None:
    """Build traffic_lot again with other columns and constraints: SQLite cannot drop a constraint."""
    op.execute("CREATE TABLE lot_copy AS SELECT * FROM traffic_lot")
    op.drop_table("traffic_lot")
    op.create_table(
        "traffic_lot",
        sa.Column("id", ID, nullable=False),
        _text("account_no", 32),
        _text("kind", 16),
        sa.Column("package_code", sa.String(32), nullable=True),
        sa.Column("grant_policy_id", ID, nullable=True),
        _number("total_bytes"),
        _number("used_bytes"),
        _at("starts_at"),
        _at("ends_at"),
        *added,
        sa.CheckConstraint(
            "used_bytes >= 0 AND used_bytes <= total_bytes", name=op.f("ck_traffic_lot_used_within_total")
        ),
        _to("traffic_lot", "account_no", "account.account_no"),
        _to("traffic_lot", "package_code", "package.code"),
        _to("traffic_lot", "grant_policy_id", "grant_policy.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic_lot")),
    )
    op.execute(
        "INSERT INTO traffic_lot (id, account_no, kind, package_code, grant_policy_id, total_bytes, "
        "used_bytes, starts_at, ends_at) SELECT id, account_no, kind, package_code, grant_policy_id, "
        "total_bytes, used_bytes, starts_at, ends_at FROM lot_copy"
    )
    op.drop_table("lot_copy")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('traffic_lot', 'id'), "
            "(SELECT COALESCE(MAX(id), 0) + 1 FROM traffic_lot), false)"
        )
    op.create_index("ix_traffic_lot_account_ends", "traffic_lot", ["account_no", "ends_at"])


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


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.split('.', maxsplit=1)[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name))


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _at(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
