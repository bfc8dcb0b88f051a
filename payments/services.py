"""What a journey needs; built once by `app.wiring`, handed to every use-case."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from billing.interface import BillingBackend
from models.clock import Clock
from models.db.engine import Database
from models.site import DEFAULT_COUNTER_RULES, CounterRules, RechargeRules, Site
from models.values.account_no import DEFAULT_RULES, AccountRules
from payments.wechatpay.client import WechatPay


@dataclass(frozen=True, kw_only=True)
class Services:
    """A function that takes this opens its own transactions and calls the network only between them.

    `wake` tells the workers that the outbox has something due; losing it costs a second, never an item.
    """

    database: Database
    clock: Clock
    billing: BillingBackend
    pay: WechatPay
    rules: RechargeRules
    site: Site
    wake: Callable[[], None]
    account_rules: AccountRules = DEFAULT_RULES
    counter_rules: CounterRules = DEFAULT_COUNTER_RULES

    def transaction(self) -> AbstractContextManager[Session]:
        """Commit on return, roll back on an exception; never nested."""
        return self.database.transaction()

    def reading(self) -> AbstractContextManager[Session]:
        """A session that only looks."""
        return self.database.reading()
