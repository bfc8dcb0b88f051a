"""记录, 没到账 and typed order numbers: where the money is."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.services import Ctx
from handlers.wording import orders as say
from models.errors import Unavailable, Unknown
from payments.orders import check_open, history, look

SHOWN = 5
# A person may ask WeChat about their last order this often; a page asks by itself as well.
CHECKS = 6
CHECK_WINDOW_S = 60


def show(ctx: Ctx) -> Answer:
    """The last orders with their state, each with its link."""
    orders = history(ctx.services, openid=ctx.openid, limit=SHOWN)
    return Text(say.records(ctx.services.site, orders))


def check(ctx: Ctx) -> Answer:
    """Ask WeChat about every open order now, credit what was paid and show it first."""
    ctx.services.limiter.hit(f"check:{ctx.openid}", limit=CHECKS, window_s=CHECK_WINDOW_S)
    try:
        checked = check_open(ctx.services, openid=ctx.openid)
    except (Unavailable, Unknown):
        return Text(say.check_unanswered(ctx.services.site))
    if checked is None:
        return Text(say.no_orders())
    return Text(say.checked(ctx.services.site, checked))


@patient
def find(ctx: Ctx) -> Answer:
    """The state of the order whose number was typed, for the one who ordered it."""
    order = look(ctx.services, order_no=ctx.push.text, openid=ctx.openid)
    return Text(say.order(ctx.services.site, order))
