"""The operator on whose behalf a change is made, and whether two of them are the same person."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property

from models.errors import Refused

NAME_MAX = 64
# Control, format, lone surrogate and separator characters never tell two people apart. Unassigned ones
# (Cn) may be Chinese characters that are newer than Python's Unicode tables.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
SYSTEM_NAMES = frozenset({"worker", "policy", "system"})


@dataclass(frozen=True)
class Actor:
    """An operator. `name` is shown and stored; `key` decides who is the same person.

    Build one from typed text with `from_name`, and from automatic work with `system`.
    """

    name: str
    is_system: bool = False

    @classmethod
    def from_name(cls, typed: str) -> Actor:
        """Return the operator with this typed name.

        The name is normalised (NFKC) and loses its blanks and invisible characters, so that one person
        under two spellings stays one person.

        Raises:
            Refused: nothing visible was typed, more than 64 characters, or a name that is reserved for
                automatic work.
        """
        name = _visible(typed)
        if not 0 < len(name) <= NAME_MAX:
            raise Refused("请填写操作人姓名")
        actor = cls(name)
        if actor.key in SYSTEM_NAMES:
            raise Refused(f"{name} 是系统保留的名称，请填写操作人姓名")
        return actor

    @classmethod
    def system(cls, name: str = "system") -> Actor:
        """Return the actor of automatic work: `worker`, `policy` or `system`. It never approves."""
        if name not in SYSTEM_NAMES:
            raise ValueError(f"no automatic work is called {name}")
        return cls(name, is_system=True)

    @cached_property
    def key(self) -> str:
        """The name as it is compared: normalised, without remarks in brackets, in one case."""
        name = _visible(self.name)
        bare = _without_remarks(name)
        return (bare or name).casefold()

    def is_same_person(self, other: Actor | str | None) -> bool:
        """Return True if `other`, an operator or a stored name, is this person."""
        if other is None:
            return False
        return self.key == (other if isinstance(other, Actor) else Actor(other)).key


# Default-ignorable characters that are letters, marks or unassigned by their category.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\uffa0") | {
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xFFF0, 0xFFF9)),
    *map(chr, range(0xE0000, 0xE1000)),
}
_OPENING, _CLOSING = "([{<【《〈「『〔", ")]}>】》〉」』〕"


def _visible(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    return "".join(c for c in normal if unicodedata.category(c) not in _INVISIBLE and c not in _FILLERS)


def _without_remarks(name: str) -> str:
    kept: list[str] = []
    depth = 0
    for character in name:
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(character)
    return "".join(kept)
