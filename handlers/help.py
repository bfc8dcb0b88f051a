"""What is asked most, answered from the school's own leaflet; and the way to a human."""

from __future__ import annotations

from datetime import datetime

from bot.context import Answer, Text, ToHuman
from handlers.services import Ctx
from handlers.wording import guide as say
from models.clock import CAMPUS_ZONE
from models.site import Contact

SATURDAY = 5


def overview(ctx: Ctx) -> Answer:
    """帮助: everything the bot can do, tappable."""
    return Text(say.overview(ctx.services.site))


def steps(ctx: Ctx) -> Answer:
    """流程: how a recharge goes, step by step."""
    return Text(say.recharge_steps(ctx.services.site))


def counter(ctx: Ctx) -> Answer:
    """线下: where and how to pay at the counter."""
    return Text(say.counter(ctx.services.site.contact))


def questions(ctx: Ctx) -> Answer:
    """常见问题: short answers."""
    return Text(say.questions(ctx.services.site.contact))


def contact(ctx: Ctx) -> Answer:
    """联系我们: where people find help."""
    return Text(say.contact_us(ctx.services.site.contact))


def human(ctx: Ctx) -> Answer:
    """客服: a human in working hours, otherwise the hours; the contact in both cases."""
    who = ctx.services.site.contact
    if in_service(who, ctx.now):
        return ToHuman(notice=say.human_notice(who))
    return Text(say.human_away(who))


def in_service(who: Contact, now: datetime) -> bool:
    """Whether somebody sits at the desk: Monday to Friday between the hours of the contact."""
    local = now.astimezone(CAMPUS_ZONE)
    return local.weekday() < SATURDAY and who.service_from_hour <= local.hour < who.service_until_hour
