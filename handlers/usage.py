"""流量: this month's use, and what of grant and package is left."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.services import Ctx
from handlers.wording import people
from handlers.wording import traffic as say
from models.clock import campus_date, month_start
from payments.binding import bound_account


@patient
def show(ctx: Ctx) -> Answer:
    """This month's use with the link to the chart; a bind link for the unbound."""
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Text(people.bind_first(ctx.services.site))
    balance = ctx.services.billing.balance(account_no)
    return Text(say.usage(ctx.services.site, balance, _used_this_month(ctx, account_no)))


def _used_this_month(ctx: Ctx, account_no: str) -> int | None:
    if not ctx.services.billing.capabilities().usage:
        return None
    since = campus_date(month_start(ctx.now))
    days = ctx.services.billing.usage(account_no)
    return sum(day.used_bytes for day in days if day.on >= since)
