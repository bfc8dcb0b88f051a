"""充值: from "充值" to an amount, an account and a confirmation; the states are in `recharge_states`."""

from __future__ import annotations

import re2

from bot.context import Answer, Text
from handlers.patience import patient
from handlers.services import Ctx
from handlers.vocabulary import QUICK_AMOUNTS, RECHARGE_PREFIX
from handlers.wish import Wish
from handlers.wording import guide
from handlers.wording import recharge as say
from handlers.wording.orders import in_doubt
from models.errors import AmountInvalid, AmountOutOfRange
from payments.amount import parse_amount
from payments.binding import bound_account
from payments.unconfirmed import PaymentInDoubt, check_none

AWAIT_ACCOUNT = "await_account"
AWAIT_ACCOUNT_AGAIN = "await_account_again"
AWAIT_NAME_CONFIRM = "await_name_confirm"
AWAIT_AMOUNT = "await_amount"
CONFIRM = "confirm"

_QUICK = re2.compile("|".join(QUICK_AMOUNTS))
_PREFIX = re2.compile(RECHARGE_PREFIX)


@patient
def start(ctx: Ctx) -> Answer:
    """充值: the amounts for one's own account, or the question for the account."""
    return proceed(ctx, _own_wish(ctx, None))


@patient
def start_for_other(ctx: Ctx) -> Answer:
    """给他人充值: always asks for the account."""
    return ask_account(ctx, Wish())


@patient
def start_with_amount(ctx: Ctx) -> Answer:
    """充值5, 5元, cz20: straight to the confirmation of that amount."""
    try:
        amount_fen = amount_in(ctx)
    except (AmountInvalid, AmountOutOfRange) as error:
        answer = ask_amount_or_account(ctx, error.text)
    else:
        answer = proceed(ctx, _own_wish(ctx, amount_fen))
    # The words meant a conversation that is gone; the account below may be another one.
    return Text(f"{say.expired()}\n\n{answer.content}") if ctx.state.expired else answer


@patient
def other_amount(ctx: Ctx) -> Answer:
    """其他金额: ask to type it, for the account of this conversation or one's own."""
    if ctx.state.name in (AWAIT_AMOUNT, CONFIRM):
        wish = Wish.from_data(ctx.state.data)
    else:
        wish = _own_wish(ctx, None)
    if not wish.account_no:
        return ask_account(ctx, wish)
    ctx.state.enter(AWAIT_AMOUNT, wish.as_data())
    return Text(say.type_amount(wish, ctx.services.rules))


def cancel(ctx: Ctx) -> Answer:
    """取消: leave any state; say so when it had run out before."""
    if ctx.state.name:
        ctx.state.leave()
        return Text(say.cancelled())
    if ctx.state.expired:
        return Text(guide.ran_out())
    return Text(say.nothing_to_cancel())


def late_agreement(ctx: Ctx) -> Answer:
    """确认 outside any state: the question is gone, or there never was one."""
    return Text(guide.ran_out() if ctx.state.expired else say.nothing_to_confirm())


def proceed(ctx: Ctx, wish: Wish) -> Text:
    """Ask for the first thing that is missing: account, amount, confirmation.

    While another payment of the payer or for the account is not confirmed, nothing leads to paying.
    """
    if not wish.account_no:
        return ask_account(ctx, wish)
    try:
        check_none(ctx.services, openid=ctx.openid, account_no=wish.account_no)
    except PaymentInDoubt as doubt:
        ctx.state.leave()
        return Text(in_doubt(ctx.services.site, doubt.text))
    if wish.amount_fen is None:
        return ask_amount(ctx, wish)
    ctx.state.enter(CONFIRM, wish.as_data())
    return Text(say.confirm(wish, wish.amount_fen))


def ask_account(ctx: Ctx, wish: Wish, problem: str = "") -> Text:
    """Ask for the account; an amount that is known already is kept."""
    ctx.state.enter(AWAIT_ACCOUNT, Wish(amount_fen=wish.amount_fen).as_data())
    return Text(say.ask_account(ctx.services.site, wish.amount_fen, problem))


def ask_amount(ctx: Ctx, wish: Wish, problem: str = "") -> Text:
    """Ask for the amount; `problem` says what was wrong with the last one."""
    ctx.state.enter(AWAIT_AMOUNT, wish.as_data())
    return Text(say.ask_amount(wish, ctx.services.rules, problem))


def ask_amount_or_account(ctx: Ctx, problem: str) -> Text:
    """Ask again after an amount that cannot be: for one's own account, or the account first."""
    wish = _own_wish(ctx, None)
    if wish.account_no:
        return ask_amount(ctx, wish, problem)
    return ask_account(ctx, wish, problem)


def amount_in(ctx: Ctx) -> int:
    """The amount in what was said, in fen, with or without the word 充值.

    Raises: AmountInvalid, AmountOutOfRange.
    """
    prefix = _PREFIX.match(ctx.push.text)
    said = ctx.push.text[prefix.end() :] if prefix else ctx.push.text
    return parse_amount(said, ctx.services.rules)


def names_amount(text: str) -> bool:
    """Whether a text is a whole wish such as 充值5, which restarts a question about the account."""
    return _QUICK.fullmatch(text) is not None


def _own_wish(ctx: Ctx, amount_fen: int | None) -> Wish:
    account_no = bound_account(ctx.services, ctx.openid)
    if account_no is None:
        return Wish(amount_fen=amount_fen)
    account = ctx.services.billing.find_account(account_no)
    return Wish(account.account_no, account.masked_name, amount_fen, own=True)
