"""Following, scanning, leaving: what the platform tells about people."""

from __future__ import annotations

from bot.broadcast import record_result
from bot.context import Answer, Silence, Text
from handlers.services import Ctx
from handlers.wording import people as say
from identity import login_sessions
from models.people.login_session import SubjectKind
from models.person import follow, unfollow

SCENE_PREFIX = "qrscene_"


def welcome(ctx: Ctx) -> Answer:
    """Greet a new follower and remember the QR code that brought them."""
    key = ctx.push.key
    # Keys without the prefix (a pay-done page, for one) name no scene of ours.
    scene = key.removeprefix(SCENE_PREFIX) if key.startswith(SCENE_PREFIX) else None
    with ctx.services.transaction() as session:
        follow(session, ctx.openid, scene, ctx.now)
    return Text(say.welcome(ctx.services.site))


def scanned(ctx: Ctx) -> Answer:
    """Greet a follower who scanned one of our QR codes, and remember it."""
    with ctx.services.transaction() as session:
        follow(session, ctx.openid, ctx.push.key or None, ctx.now)
    return Text(say.welcome_back(ctx.services.site))


def farewell(ctx: Ctx) -> Answer:
    """Forget the binding of somebody who left; nobody would read an answer."""
    with ctx.services.transaction() as session:
        unfollow(session, ctx.openid, ctx.now)
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
