"""Chat state as text: what Redis keeps about a conversation."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.context import ChatState

STATE_TTL_S = 600
# An expired state is remembered this long, so that the person can be told.
EXPIRED_MARK_S = 600
KEEP_S = STATE_TTL_S + EXPIRED_MARK_S


@dataclass(frozen=True, slots=True)
class Change:
    """A compare-and-set: `new` takes the place of exactly `old`; empty means that nothing is stored."""

    old: str
    new: str


def read_state(stored: str, now_s: float) -> ChatState:
    """The state that was stored; one that has run out is empty and marked."""
    if not stored:
        return ChatState()
    try:
        record = json.loads(stored)
        if record["until_s"] <= now_s:
            return ChatState(expired=bool(record["name"]))
        return ChatState(name=record["name"], data=record["data"])
    except (ValueError, KeyError, TypeError):
        # Written by another version of this program: the conversation starts anew.
        return ChatState()


def change_of(state: ChatState, stored: str, now_s: float) -> Change | None:
    """What has to be stored after the handler; None when it left the state alone.

    The version makes two writes of the same values different, so that a stale one never fits.
    """
    if not state.changed:
        return None
    if not state.name:
        return Change(stored, "")
    record = {
        "version": _version(stored) + 1,
        "until_s": int(now_s) + STATE_TTL_S,
        "name": state.name,
        "data": state.data,
    }
    return Change(stored, json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def _version(stored: str) -> int:
    try:
        return int(json.loads(stored)["version"])
    except (ValueError, KeyError, TypeError):
        return 0
