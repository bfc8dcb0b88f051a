"""Accounts that the settings of account numbers make equal: listed by `db upgrade` and `doctor`."""

from __future__ import annotations

from billing.embedded import accounts
from models.db.engine import Database
from models.values.account_no import AccountRules


def equal_accounts(database: Database, rules: AccountRules) -> list[str]:
    """Return a line for each group of accounts that [accounts] calls by one number. Nothing is changed."""
    with database.reading() as session:
        groups = accounts.equal_accounts(session, rules)
    return [f"同一个账号的不同写法：{'、'.join(group)}（只按原样写法查找，未作改动）" for group in groups]
