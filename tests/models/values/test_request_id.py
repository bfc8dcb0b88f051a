"""The id of the request in hand: set for a block, none where there is none."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from models.values import request_id

HEX = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32)


@given(HEX)
def test_thirty_two_hex_characters_are_an_id(text: str) -> None:
    assert request_id.is_id(text)


@given(
    st.one_of(
        st.text(max_size=40).filter(lambda text: len(text) != 32),
        HEX.map(lambda text: text + "\n"),
        HEX.map(lambda text: "g" + text[1:]),
        HEX.map(lambda text: "１" + text[1:]),
        HEX.map(lambda text: text[:16] + " " + text[17:]),
    )
)
def test_nothing_else_is_one(text: str) -> None:
    assert not request_id.is_id(text)


def test_fresh_ids_are_ids_and_differ() -> None:
    made = {request_id.new() for _ in range(100)}
    assert len(made) == 100
    assert all(map(request_id.is_id, made))


def test_an_id_holds_for_its_block_and_thread_only() -> None:
    seen: list[str | None] = []
    with request_id.bound("a" * 32):
        with request_id.bound(None):
            seen.append(request_id.current())
        with request_id.bound("b" * 32):
            seen.append(request_id.current())
        seen.append(request_id.current())
        thread = threading.Thread(target=lambda: seen.append(request_id.current()))
        thread.start()
        thread.join()
    assert [*seen, request_id.current()] == [None, "b" * 32, "a" * 32, None, None]
