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
            Refused: no letter was typed, more than 64 characters, punctuation inside the name, letters of
                several alphabets that look alike, or a name that is reserved for automatic work.
        """
        name = _visible(typed)
        actor = cls(name)
        if len(name) > NAME_MAX or not actor.key:
            raise Refused("请填写操作人姓名")
        if _has_inner_punctuation(_without_remarks(name)) or _mixes_alphabets(name):
            raise Refused("操作人姓名只写文字，备注请放在括号里，例如 张三（财务）")
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
        """The name as it is compared: its letters and digits without remarks in brackets, in one case."""
        name = _visible(self.name)
        return _letters(_without_remarks(name)) or _letters(name)

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
# Brackets and quotation marks of every script: Ps and Pe, Pi and Pf.
_OPENING = frozenset({"Ps", "Pi"})
_CLOSING = frozenset({"Pe", "Pf"})
_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"})
# Between the parts of a name: 买买提·艾力, Anne-Marie, O'Brien, J.Smith, clerk_1.
_MIDDLE_DOTS = frozenset("·•‧・･.")
_LATIN_JOINTS = frozenset("-'’_.")


def _visible(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    return "".join(c for c in normal if unicodedata.category(c) not in _INVISIBLE and c not in _FILLERS)


def _is_letter(character: str) -> bool:
    """Return True for letters and digits; Cn and Co may be characters newer than the Unicode tables."""
    category = unicodedata.category(character)
    return category[0] in "LN" or category in {"Cn", "Co"}


def _letters(name: str) -> str:
    """Return the letters and digits of a name, without accents, in one case."""
    parts = unicodedata.normalize("NFD", name)
    kept = (str(unicodedata.digit(c, c)) for c in parts if _is_letter(c))
    return unicodedata.normalize("NFC", "".join(kept)).casefold()


def _without_remarks(name: str) -> str:
    """Return what stands outside brackets; a bracket that is never closed or opened is a remark, too."""
    kept: list[str] = []
    depth = 0
    for character in name.replace("<", "〈").replace(">", "〉"):
        category = unicodedata.category(character)
        if category in _OPENING:
            depth += 1
        elif category in _CLOSING and depth == 0:
            kept.clear()
        elif category in _CLOSING:
            depth -= 1
        elif depth == 0:
            kept.append(character)
    return "".join(kept)


def _has_inner_punctuation(bare: str) -> bool:
    """Return True if anything but the joints of names stands between the letters: 财务-张三 is no name."""
    letters = [index for index, character in enumerate(bare) if _is_letter(character)]
    return (
        any(
            not _is_joint(bare, index) for index in range(letters[0], letters[-1] + 1) if index not in letters
        )
        if letters
        else False
    )


def _is_joint(bare: str, index: int) -> bool:
    character = bare[index]
    if character in _MIDDLE_DOTS or unicodedata.category(character).startswith("M"):
        return True
    return character in _LATIN_JOINTS and bare[index - 1].isascii() and bare[index + 1].isascii()


def _mixes_alphabets(name: str) -> bool:
    """Return True for letters of several alphabets that look alike, such as a Cyrillic o in worker."""
    found = {unicodedata.name(character, "?").split()[0] for character in name if _is_letter(character)}
    return len(found & _ALPHABETS) > 1
