"""One rule for evidence, whichever command asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payments import evidence
from payments.evidence import EvidenceNeeded

HANDBOOK = Path(__file__).parent.parent.parent / "docs" / "counter.md"


@pytest.mark.parametrize("typed", ["", "    ", " 依据 ", "ok", "好的。"])
def test_too_little_is_refused_and_the_least_is_named(typed: str) -> None:
    with pytest.raises(EvidenceNeeded) as refused:
        evidence.checked(typed)
    assert "至少 4 个字" in refused.value.text


def test_too_much_is_refused_and_the_most_is_named() -> None:
    with pytest.raises(EvidenceNeeded) as refused:
        evidence.checked("字" * 201)
    assert "不超过 200 个字" in refused.value.text


def test_the_examples_of_the_handbook_are_enough() -> None:
    examples = re.findall(r'--evidence "([^"]*)"', HANDBOOK.read_text(encoding="utf-8"))
    assert examples
    for example in examples:
        assert evidence.checked(f" {example} ") == example
