"""提醒: what is told, stopped in one word, and below how much the balance is low."""

from __future__ import annotations

import re2

from bot.context import Answer, Text
from handlers.services import Ctx
from handlers.vocabulary import ALERT_THRESHOLD
from handlers.wording import alerts as say
from models.money import FEN_PER_YUAN
from payments.alerts import choice_of, choose


def show(ctx: Ctx) -> Answer:
    """What the person has chosen, and how to change it."""
    with ctx.services.reading() as session:
        choice = choice_of(session, ctx.openid)
    return Text(say.settings(ctx.services.site, wanted=choice.wanted, low_fen=choice.low_balance_fen))


def stop(ctx: Ctx) -> Answer:
    """No more alerts, from this word on."""
    choose(ctx.services, ctx.openid, wanted=False)
    return Text(say.stopped())


def resume(ctx: Ctx) -> Answer:
    """Alerts again, with the threshold of before."""
    choice = choose(ctx.services, ctx.openid, wanted=True)
    return Text(say.settings(ctx.services.site, wanted=True, low_fen=choice.low_balance_fen))


def set_threshold(ctx: Ctx) -> Answer:
    """余额提醒10: tell me below 10 yuan; 0 never."""
    found = re2.fullmatch(ALERT_THRESHOLD, ctx.push.text)
    amount_fen = int(found[1]) * FEN_PER_YUAN if found else None
    choice = choose(ctx.services, ctx.openid, low_balance_fen=amount_fen)
    return Text(say.settings(ctx.services.site, wanted=choice.wanted, low_fen=choice.low_balance_fen))
