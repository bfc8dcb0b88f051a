"""余额: money and traffic of the bound account, never of a typed one."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.services import Ctx
from handlers.wording import people
from handlers.wording import traffic as say
from payments.binding import bound_account


@patient
def show(ctx: Ctx) -> Answer:
    """Balance, package, high-speed traffic and speed now; a bind link for the unbound."""
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Text(people.bind_first(ctx.services.site))
    return Text(say.balance(ctx.services.billing.balance(account_no)))
