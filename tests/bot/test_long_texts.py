"""A sender's text has a bound before any pattern sees it."""

from __future__ import annotations

import pytest

from bot.push import TEXT_CHARS_MAX, push_of

FIELDS = {"MsgType": "text", "FromUserName": "oStudent-0001", "ToUserName": "gh_1", "CreateTime": "1"}


@pytest.mark.parametrize("content", ["充值" + " " * 16_000 + "x", "５" * 20_000, "🙂" * 5_000, "余额"])
def test_a_long_text_is_cut_before_anything_looks_at_it(content: str) -> None:
    push = push_of({**FIELDS, "Content": content})
    assert len(push.raw_text) == min(len(content), TEXT_CHARS_MAX)
    assert len(push.text) <= TEXT_CHARS_MAX
