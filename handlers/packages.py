"""套餐 and 换购日志: what is on sale, and what was swapped."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.services import Ctx
from handlers.wording import people
from handlers.wording import traffic as say
from payments.binding import bound_account
from payments.swap import missing_fen


@patient
def show(ctx: Ctx) -> Answer:
    """The catalogue with the specials the reader may have, the rule, and the link to the intranet page.

    An owner also sees what the balance lacks for each package, with a link to 充值并换购.
    """
    here = ctx.services
    account_no = bound_account(here, ctx.openid)
    offers = here.billing.catalogue(account_no)
    if account_no is None:
        return Text(say.packages(here.site, offers))
    seen = here.billing.balance(account_no)
    return Text(say.own_packages(here.site, offers, seen, missing_fen(here, seen, offers)))


@patient
def show_log(ctx: Ctx) -> Answer:
    """The last swaps of the bound account; a bind link for the unbound."""
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Text(people.bind_first(ctx.services.site))
    return Text(say.exchange_log(ctx.services.site, ctx.services.billing.exchange_log(account_no)))


@patient
def show_fees(ctx: Ctx) -> Answer:
    """资费: the rule the school published, with today's prices."""
    return Text(say.fees(ctx.services.billing.catalogue()))
