"""公告: the latest notices."""

from __future__ import annotations

from bot.context import Answer, Text
from handlers.services import Ctx
from handlers.wording import guide as say
from models.notice import latest_notices

SHOWN = 5


def show(ctx: Ctx) -> Answer:
    """The latest notices: the newest with its first lines, the others as links."""
    with ctx.services.reading() as session:
        notices = latest_notices(session, ctx.now, limit=SHOWN)
    return Text(say.notices(ctx.services.site, notices))
