"""One answer for a far side that does not answer, so that no handler has to write it."""

from __future__ import annotations

from functools import wraps

from bot.context import Answer, Handler, Text
from handlers.services import Ctx, HandlerServices
from handlers.wording import guide as say
from models.errors import Unavailable, Unknown


def patient(handler: Handler[HandlerServices]) -> Handler[HandlerServices]:
    """The same handler, which says plainly that the billing system does not answer right now."""

    @wraps(handler)
    def answer(ctx: Ctx) -> Answer:
        try:
            return handler(ctx)
        except (Unavailable, Unknown):
            return Text(say.busy(ctx.services.site.contact))

    return answer
