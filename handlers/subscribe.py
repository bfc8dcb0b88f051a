"""Following, scanning, leaving: what the platform tells about people."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.broadcast import record_result
from bot.context import Answer, Silence, Text
from handlers.services import Ctx
from handlers.wording import people as say
from identity import login_sessions
from models.people.login_session import SubjectKind
from models.person import follow, unfollow

SCENE_PREFIX = "qrscene_"
# How far WeChat's clock may be ahead of ours; a later time is none.
AHEAD_MAX = timedelta(minutes=5)


def welcome(ctx: Ctx) -> Answer:
    """Greet a new follower and remember the QR code that brought them."""
    key = ctx.push.key
    # Keys without the prefix (a pay-done page, for one) name no scene of ours.
    scene = key.removeprefix(SCENE_PREFIX) if key.startswith(SCENE_PREFIX) else None
    with ctx.services.transaction() as session:
        follow(session, ctx.openid, scene, ctx.now, at=_event_at(ctx))
    return Text(say.welcome(ctx.services.site))


def scanned(ctx: Ctx) -> Answer:
    """Greet a follower who scanned one of our QR codes, and remember it."""
    with ctx.services.transaction() as session:
        follow(session, ctx.openid, ctx.push.key or None, ctx.now, at=_event_at(ctx))
    return Text(say.welcome_back(ctx.services.site))


def farewell(ctx: Ctx) -> Answer:
    """Forget the binding of a person who left, unless they are back already; an answer would not be read."""
    with ctx.services.transaction() as session:
        if not unfollow(session, ctx.openid, ctx.now, at=_event_at(ctx)):
            return Silence()
        login_sessions.end_all(session, SubjectKind.WECHAT, ctx.openid, now=ctx.now, cause="unfollowed")
    return Silence()


def broadcast_finished(ctx: Ctx) -> Answer:
    """Note how a broadcast went."""
    with ctx.services.transaction() as session:
        record_result(session, ctx.push.fields, ctx.now)
    return Silence()


def unheard(ctx: Ctx) -> Answer:
    """Nothing: events that nobody waits for."""
    del ctx
    return Silence()


def _event_at(ctx: Ctx) -> datetime:
    """Return when the event happened by WeChat's clock: events are delivered again, and out of order."""
    sent_at = ctx.push.sent_at
    return ctx.now if sent_at is None or sent_at > ctx.now + AHEAD_MAX else sent_at
