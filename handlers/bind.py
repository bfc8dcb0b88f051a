"""绑定 and 解绑: the link to the bind page, and unbinding in two taps."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.services import Ctx
from handlers.vocabulary import AGREE_UNBIND
from handlers.wording import people as say
from payments.binding import bound_account, unbind_account

UNBIND_STATE = "unbind"


def offer(ctx: Ctx) -> Answer:
    """Show what is bound and where to bind."""
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Text(say.bind_link(ctx.services.site))
    return Text(say.bound_already(ctx.services.site, account_no))


def ask_unbind(ctx: Ctx) -> Answer:
    """The first tap: ask whether they mean it."""
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Text(say.nothing_bound(ctx.services.site))
    ctx.state.enter(UNBIND_STATE)
    return Text(say.unbind_question(account_no))


def unbind(ctx: Ctx) -> Answer:
    """The second tap: unbind; anything else asks again."""
    if ctx.push.text not in AGREE_UNBIND:
        return Text(say.unbind_reminder())
    ctx.state.leave()
    account_no = unbind_account(ctx.services, openid=ctx.openid)
    if account_no is None:
        return Text(say.nothing_bound(ctx.services.site))
    return Text(say.unbound(account_no))
