"""Whatever nothing else answers: guesses for text, a gentle word for pictures, silence for events."""

from __future__ import annotations

from difflib import SequenceMatcher

import re2

from bot.context import Answer, Silence, Text, tap
from handlers.services import Ctx
from handlers.vocabulary import TOPICS
from handlers.wording import guide as say
from models.errors import AmountInvalid, AmountOutOfRange
from models.money import yuan_short
from models.site import RechargeRules
from payments.amount import parse_amount

GUESSES = 3
# The beginning says what somebody wants; comparing a whole letter would only cost time.
COMPARED = 24
SPOKEN = frozenset({"text", "click"})
_BARE_NUMBER = re2.compile(r"[0-9]{1,4}(?:\.[0-9]{1,2})?|[一二两三四五六七八九十百]{1,5}")


def guess(ctx: Ctx) -> Answer:
    """Never silence for a person: text gets three guesses, other messages the main words."""
    if ctx.push.kind in SPOKEN:
        taps = [tap(words) for words in nearest(ctx.push.text)]
        amount = _amount_meant(ctx.push.text, ctx.services.rules)
        if amount:
            taps = [tap(amount), *taps[: GUESSES - 1]]
        return Text(say.guesses(taps, ran_out=ctx.state.expired))
    if ctx.push.fields.get("MsgType") == "event":
        return Silence()
    return Text(say.media())


def nearest(text: str) -> list[str]:
    """The three topics nearest to a normalised text, the nearest first; common ones when none is near."""
    said = text[:COMPARED]
    # The matcher remembers its second text, so that each word costs only itself.
    matcher = SequenceMatcher(None, "", said, autojunk=False)
    ranked = sorted(TOPICS, key=lambda topic: -max(_likeness(matcher, said, word) for word in topic))
    return [topic[0] for topic in ranked[:GUESSES]]


def _likeness(matcher: SequenceMatcher[str], said: str, word: str) -> float:
    if word in said and len(word) > 1:
        # Longer words say more: 充值记录 beats 充值 in "看看充值记录".
        return 1 + len(word) / COMPARED
    matcher.set_seq1(word)
    return matcher.ratio()


def _amount_meant(text: str, rules: RechargeRules) -> str:
    if not _BARE_NUMBER.fullmatch(text):
        return ""
    try:
        return f"充值{yuan_short(parse_amount(text, rules))}"
    except (AmountInvalid, AmountOutOfRange):
        return ""
