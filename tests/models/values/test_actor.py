from __future__ import annotations

import pytest

from models.errors import Refused
from models.values.actor import Actor

ONE_PERSON = [
    "张三",
    " 张三 ",
    "张 三",
    "张\u3000三",
    "张三\u200b",
    "张\u2060三",
    "张三\ufe00",
    "张三\U000e0100",
    "张\u3164三",
    "张三（财务）",
    "张三(财务)",
    "（张三）",
    "（张三",
    "(张三",
    "张三）",
    "「张三」",
    "〖张三〗",
    "“张三”",
    "'张三'",
    "张三“财务”",
    "（财务）张三",
    "张三(财务",
    "<张三>",
    "张三。",
    "张三.",
    "张三-",
    "张三,",
    "张三\u0301",
    "张三\u20dd",
    "张三\u2800",
    "·张三",
]


@pytest.mark.parametrize("spelling", ONE_PERSON)
def test_one_person_under_two_spellings_is_one_person(spelling: str) -> None:
    assert Actor.from_name("张三").is_same_person(Actor.from_name(spelling))
    assert Actor.from_name("张三").is_same_person(spelling)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("zhang", "ｚｈａｎｇ"),
        ("Anna", "anna"),
        ("ANNA", "aN NA"),
        ("Ánna", "anna"),
        ("Anne-Marie", "AnneMarie"),
    ],
)
def test_case_and_width_do_not_make_two_people(one: str, other: str) -> None:
    assert Actor.from_name(one).is_same_person(Actor.from_name(other))


@pytest.mark.parametrize("other", ["李四", "张三丰", "王\U00030b8b明"])
def test_other_names_are_other_people(other: str) -> None:
    assert not Actor.from_name("张三").is_same_person(Actor.from_name(other))
    assert not Actor.from_name("王明").is_same_person(Actor.from_name(other))


def test_a_stored_nobody_is_nobody() -> None:
    assert not Actor.from_name("张三").is_same_person(None)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "  ", "\u200b\u200b", "\ufe0f", "x" * 65, "worker", "Pol icy", "SYSTEM", "()", "……", "\u2800"),
        *("(worker", "worker.", "w\u043erker", "甲一-财务", "财务/甲一", "甲一,财务", "Zh\u0430ng"),
    ],
)
def test_names_that_name_nobody_are_refused(typed: str) -> None:
    with pytest.raises(Refused):
        Actor.from_name(typed)


def test_automatic_work_has_reserved_names() -> None:
    assert Actor.system("worker").is_system
    with pytest.raises(ValueError, match="no automatic work"):
        Actor.system("张三")
