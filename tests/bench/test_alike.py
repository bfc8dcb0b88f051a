"""The measurement compares like with like: who is measured must answer, and answer the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from bench import load, pushes
from bench.contestants import campusnet, minimal, stock
from bench.ground import ground
from bench.measure import percentile
from bench.scene import BALANCE, FOLDER_VARIABLE, KEYWORDS, REDIS_VARIABLE, Scene, account_no, openid
from handlers import ROUTES


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ground(tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(scene.folder))
    monkeypatch.setenv(REDIS_VARIABLE, scene.redis_url)


def asked(app: Flask, path: str, push: pushes.Push) -> str:
    answer = app.test_client().post(path, query_string=push.query, data=push.body, content_type="text/xml")
    assert answer.status_code == 200
    return pushes.said(answer.data)


def figures(words: str) -> list[str]:
    """What a student would read off; a minute may pass between two answers."""
    return re.findall(r"\d+(?:\.\d+)?", re.sub(r"\d\d:\d\d", "", words))


def test_the_smallest_view_tells_the_same_figures() -> None:
    ours, smallest = campusnet.create_app(), minimal.create_app()
    for number in (0, 7):
        said = asked(ours, campusnet.PATH, pushes.push(openid(number), BALANCE))
        assert account_no(number) in said
        assert "剩 13.0 / 20.0 GB" in said
        also = asked(smallest, minimal.PATH, pushes.push(openid(number), BALANCE))
        assert figures(also) == figures(said)
        assert len(also) == pytest.approx(len(said), rel=0.1)


def test_both_repeat_the_first_answer() -> None:
    for app, path in ((campusnet.create_app(), campusnet.PATH), (minimal.create_app(), minimal.PATH)):
        push = pushes.push(openid(1), BALANCE)
        assert asked(app, path, push) == asked(app, path, push)


def test_werobot_answers_every_keyword_by_its_own_filter() -> None:
    app = stock.create_app()
    for keyword in KEYWORDS:
        assert asked(app, stock.PATH, pushes.push(openid(2), keyword)) == f"{keyword}:{stock.ANSWER}"


def test_keywords_are_forty_and_our_table_knows_them_all() -> None:
    assert len(set(KEYWORDS)) == 40
    assert set(KEYWORDS) <= {word for route in ROUTES if route.by == "word" for word in route.keys}


def test_messages_differ_and_draw_words_evenly() -> None:
    made = list(pushes.pushes(80, [openid(0), openid(1)], KEYWORDS))
    assert len({push.query["msg_signature"] for push in made}) == 80


def test_requests_survive_the_file() -> None:
    requests = [b"", b"one", b"\x00" * 300]
    assert list(load.unpack(load.pack(requests))) == requests


def test_the_99th_percentile_is_exceeded_by_one_in_a_hundred() -> None:
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99.0
    assert percentile([5.0], 0.99) == 5.0
