"""Who did it: the name an operator gives, and whether two of them are the same person."""

from __future__ import annotations

from models.errors import Refused

ACTOR_MAX = 64


def named(actor: str) -> str:
    """The name as it is kept. Raises: Refused - none, or too long."""
    name = actor.strip()
    if not 0 < len(name) <= ACTOR_MAX:
        raise Refused("请填写操作人姓名")
    return name


def same_person(one: str, other: str) -> bool:
    """Whether two names, as typed, are one person's."""
    return one.strip().casefold() == other.strip().casefold()
