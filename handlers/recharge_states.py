"""What a text means in the middle of a recharge, one function per state."""

from __future__ import annotations

from dataclasses import replace

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.recharge import (
    AWAIT_ACCOUNT_AGAIN,
    AWAIT_NAME_CONFIRM,
    amount_in,
    ask_account,
    ask_amount,
    names_amount,
    proceed,
)
from handlers.services import Ctx
from handlers.vocabulary import AGREE
from handlers.wish import Wish
from handlers.wording import recharge as say
from models.errors import AmountInvalid, AmountOutOfRange, NoSuchAccount
from payments.orders import start_recharge

# Names of typed accounts that one person may look up: enough for a dormitory, too few for a list.
LOOK_UPS = 10
LOOK_UP_WINDOW_S = 600

# Shorter texts are words of the conversation.
SHORTEST = 4


def account(ctx: Ctx) -> Answer:
    """The account for the first time, or a change of mind about the amount."""
    wish = Wish.from_data(ctx.state.data)
    if names_amount(ctx.push.text):
        return _with_amount(ctx, wish)
    account_no = _typed_account(ctx)
    if account_no is None:
        return ask_account(ctx, wish, say.account_unclear())
    ctx.state.enter(AWAIT_ACCOUNT_AGAIN, replace(wish, account_no=account_no).as_data())
    return Text(say.ask_account_again(account_no))


@patient
def account_again(ctx: Ctx) -> Answer:
    """The account for the second time: when both agree, look the masked name up."""
    wish = Wish.from_data(ctx.state.data)
    if names_amount(ctx.push.text):
        return _with_amount(ctx, wish)
    typed = _typed_account(ctx)
    if typed is None or not ctx.services.account_rules.is_same(typed, wish.account_no):
        return ask_account(ctx, wish, say.accounts_differ())
    ctx.services.limiter.hit(f"name:{ctx.openid}", limit=LOOK_UPS, window_s=LOOK_UP_WINDOW_S)
    try:
        found = ctx.services.billing.find_account(wish.account_no)
    except NoSuchAccount as error:
        return ask_account(ctx, wish, error.text)
    wish = replace(wish, account_no=found.account_no, masked_name=found.masked_name)
    if wish.amount_fen is not None:
        # The confirmation shows the name as well: one question less.
        return proceed(ctx, wish)
    ctx.state.enter(AWAIT_NAME_CONFIRM, wish.as_data())
    return Text(say.ask_name(wish))


def name_confirm(ctx: Ctx) -> Answer:
    """确认 the masked name; anything else asks again."""
    wish = Wish.from_data(ctx.state.data)
    if ctx.push.text in AGREE:
        return ask_amount(ctx, wish)
    return Text(say.ask_name(wish))


def amount(ctx: Ctx) -> Answer:
    """The amount for the account of this conversation."""
    wish = Wish.from_data(ctx.state.data)
    try:
        return proceed(ctx, replace(wish, amount_fen=amount_in(ctx)))
    except (AmountInvalid, AmountOutOfRange) as error:
        return ask_amount(ctx, wish, error.text)


@patient
def confirm(ctx: Ctx) -> Answer:
    """确认 makes the order; another amount changes it; anything else asks again."""
    wish = Wish.from_data(ctx.state.data)
    if ctx.push.text in AGREE and wish.amount_fen is not None:
        order = start_recharge(
            ctx.services, openid=ctx.openid, account_no=wish.account_no, amount_fen=wish.amount_fen
        )
        ctx.state.leave()
        return Text(say.pay_link(ctx.services.site, order))
    try:
        return proceed(ctx, replace(wish, amount_fen=amount_in(ctx)))
    except AmountOutOfRange as error:
        return ask_amount(ctx, wish, error.text)
    except AmountInvalid:
        return Text(say.confirm(wish, wish.amount_fen or 0, reminder=True))


def _with_amount(ctx: Ctx, wish: Wish) -> Text:
    try:
        return ask_account(ctx, replace(wish, amount_fen=amount_in(ctx)))
    except (AmountInvalid, AmountOutOfRange) as error:
        return ask_account(ctx, wish, error.text)


def _typed_account(ctx: Ctx) -> str | None:
    # From the raw text: routes compare in lower case, account numbers may have capitals.
    typed = ctx.services.account_rules.parse(ctx.push.raw_text)
    return typed if typed is not None and len(typed) >= SHORTEST else None
