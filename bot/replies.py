"""Who answers a push, and what was answered: one claim per push, shared through Redis.

A value is `P` and the claimer's token while the first delivery is being answered, then `R` and
the rendered reply (nothing after the `R` for silence). Redis away: the same within this process.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis

from bot.local_replies import LocalReplies
from bot.redis_gate import RedisDown, RedisGate, Script, text_of
from bot.session import KEEP_S, Change

# A genuine push stays acceptable for 300 s, or 600 s where its clock is ahead (bot/envelope.py); its reply is
# known longer than that, so that a push sent again is never handled again.
REPLY_TTL_S = 660
POLL_S = 0.04
# When a push in JSON came last, in seconds since 1970; `campusnet doctor` reads it.
JSON_PUSH_KEY = "campusnet:json-push"
JSON_PUSH_TTL_S = 3600

# One round trip: claim the push and read the conversation, or read what the first delivery has.
_BEGIN = Script("""
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then
  return {1, redis.call('GET', KEYS[2]) or ''}
end
local value = redis.call('GET', KEYS[1]) or ''
if value == ARGV[1] then return {1, redis.call('GET', KEYS[2]) or ''} end
return {0, value}
""")

# One round trip: change the conversation if nobody else did meanwhile, and only then the reply.
# A reply that is there already is ours: the answer to the same command was lost on the way.
_FINISH = Script("""
if ARGV[4] ~= '' and redis.call('GET', KEYS[1]) == ARGV[4] then return {1, ''} end
local chat = redis.call('GET', KEYS[2]) or ''
if chat ~= ARGV[1] then return {0, chat} end
if ARGV[2] == '' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[5]) end
return {1, ''}
""")


@dataclass(slots=True)
class Claim:
    """The outcome of `begin`: we answer (`ours`), or somebody does or did (`reply`).

    `chat` is the stored conversation; `local` that Redis is away and the claim holds in this process only.
    """

    key: str
    ours: bool
    chat: str = ""
    reply: str | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Crossed:
    """Another message changed the conversation meanwhile; `chat` is what it left."""

    chat: str


class ReplyStore:
    """Claims and replies; never raises for Redis' sake."""

    def __init__(self, redis: Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gate = RedisGate(redis, monotonic)
        self._monotonic = monotonic
        self._local = LocalReplies(monotonic, ttl_s=REPLY_TTL_S)

    def begin(self, key: str, openid: str) -> Claim:
        """Claim the push called `key`, or learn that it was claimed before."""
        if self._local.has(key):
            return self._begin_locally(key)
        token = "P" + secrets.token_hex(8)
        try:
            ours, value = self._gate.run(_BEGIN, [_push(key), _chat(openid)], token, REPLY_TTL_S)
        except RedisDown:
            return self._begin_locally(key)
        text = text_of(value) or ""
        if ours:
            return Claim(key, ours=True, chat=text)
        return Claim(key, ours=False, reply=_reply_in(text))

    def finish(self, claim: Claim, openid: str, reply: str | None, change: Change | None) -> Crossed | None:
        """Store the reply, and the conversation if it changed; nothing of both when messages crossed.

        Args:
            reply: None leaves the reply of this push as it is (another one was given meanwhile).
        """
        if claim.local:
            if reply is not None:
                self._local.finish(claim.key, reply)
            return None
        try:
            return self._store(claim.key, openid, reply, change)
        except RedisDown:
            if reply is not None:
                self._local.finish(claim.key, reply)
            return None

    def wait(self, claim: Claim, until_s: float) -> str | None:
        """The reply of the first delivery as soon as it exists; None when the time is up.

        Args:
            until_s: on the monotonic clock.
        """
        if claim.local:
            return self._local.wait(claim.key, until_s)
        while self._monotonic() < until_s:
            time.sleep(POLL_S)
            try:
                value = text_of(self._gate.ask("GET", _push(claim.key)))
            except RedisDown:
                return None
            if value is None:
                return None
            if (reply := _reply_in(value)) is not None:
                return reply
        return None

    def note_json_push(self, at_s: int) -> None:
        """Remember for an hour that the console sends JSON."""
        with suppress(RedisDown):
            self._gate.ask("SET", JSON_PUSH_KEY, at_s, "EX", JSON_PUSH_TTL_S)

    def forget_json_pushes(self) -> None:
        """The console sends XML again."""
        with suppress(RedisDown):
            self._gate.ask("DEL", JSON_PUSH_KEY)

    def _begin_locally(self, key: str) -> Claim:
        ours, reply = self._local.begin(key)
        return Claim(key, ours=ours, reply=reply, local=True)

    def _store(self, key: str, openid: str, reply: str | None, change: Change | None) -> Crossed | None:
        value = "" if reply is None else "R" + reply
        if change is None:
            if value:
                self._gate.ask("SET", _push(key), value, "EX", REPLY_TTL_S)
            return None
        keys = [_push(key), _chat(openid)]
        done, chat = self._gate.run(_FINISH, keys, change.old, change.new, KEEP_S, value, REPLY_TTL_S)
        return None if done else Crossed(text_of(chat) or "")


def _push(key: str) -> str:
    return f"campusnet:push:{key}"


def _chat(openid: str) -> str:
    # The braces keep a person's keys on one node of a cluster, as scripts need.
    return f"campusnet:chat:{{{openid}}}"


def _reply_in(value: str) -> str | None:
    return value[1:] if value.startswith("R") else None
