"""Captchas are good for one answer, one purpose, two minutes and one login."""

from __future__ import annotations

import io
import wave

import pytest
import redis
from PIL import Image

from app.redis_server import RedisServer
from bot.redis_gate import RedisDown, connect
from models.errors import CaptchaWrong
from tests.conftest import fresh_redis_url
from tests.web.world import NO_REDIS
from web import captcha
from web.captcha import Captchas

ME, YOU = "login-1", "login-2"


@pytest.fixture
def store(redis_server: RedisServer) -> redis.Redis:
    return connect(fresh_redis_url(redis_server))


@pytest.fixture
def captchas(store: redis.Redis) -> Captchas:
    return Captchas(store)


def text_of(captchas: Captchas, mark: str) -> str:
    text = captchas.text_of(ME, mark)
    assert text is not None
    return text


def test_the_digits_cannot_be_taken_for_others(captchas: Captchas) -> None:
    seen = {character for _ in range(300) for character in text_of(captchas, captchas.issue(ME))}
    assert seen == set(captcha.ALPHABET)
    assert not seen & set("19")


def test_the_right_answer_is_accepted_however_it_is_typed(captchas: Captchas, store: redis.Redis) -> None:
    mark = captchas.issue(ME)
    store.set(f"campusnet:captcha:{mark}", f"{ME}|234567")
    captchas.redeem(ME, mark, " ２34 567 ", purpose="key-1")


def test_a_wrong_answer_ends_the_captcha(captchas: Captchas) -> None:
    mark = captchas.issue(ME)
    right = text_of(captchas, mark)
    with pytest.raises(CaptchaWrong):
        captchas.redeem(ME, mark, "0000", purpose="key-1")
    with pytest.raises(CaptchaWrong):
        captchas.redeem(ME, mark, right, purpose="key-1")


def test_a_form_sent_twice_is_let_through_twice_and_no_other_form(captchas: Captchas) -> None:
    mark = captchas.issue(ME)
    right = text_of(captchas, mark)
    captchas.redeem(ME, mark, right, purpose="key-1")
    captchas.redeem(ME, mark, right, purpose="key-1")
    assert captchas.text_of(ME, mark) is None
    with pytest.raises(CaptchaWrong):
        captchas.redeem(ME, mark, right, purpose="key-2")


def test_another_login_neither_sees_nor_solves_it(captchas: Captchas) -> None:
    mark = captchas.issue(ME)
    assert captchas.text_of(YOU, mark) is None
    with pytest.raises(CaptchaWrong):
        captchas.redeem(YOU, mark, text_of(captchas, mark), purpose="key-1")


@pytest.mark.parametrize("mark", ["", "x", "0" * 24, "ä" * 24, f"{'0' * 23}|"])
def test_a_mark_of_nothing_is_wrong(captchas: Captchas, mark: str) -> None:
    assert captchas.text_of(ME, mark) is None
    with pytest.raises(CaptchaWrong):
        captchas.redeem(ME, mark, "", purpose="key-1")


def test_it_is_forgotten_after_two_minutes(captchas: Captchas, store: redis.Redis) -> None:
    mark = captchas.issue(ME)
    assert 110 < store.ttl(f"campusnet:captcha:{mark}") <= 120
    captchas.redeem(ME, mark, text_of(captchas, mark), purpose="key-1")
    assert 110 < store.ttl(f"campusnet:captcha:{mark}") <= 120


def test_without_redis_nothing_is_issued() -> None:
    with pytest.raises(RedisDown):
        Captchas(connect(NO_REDIS)).issue(ME)


def test_it_can_be_seen_and_heard() -> None:
    with Image.open(io.BytesIO(captcha.picture("234567"))) as picture:
        assert (picture.format, picture.size) == ("PNG", captcha.PICTURE_SIZE)
    for digit in captcha.ALPHABET:
        with wave.open(io.BytesIO(captcha.speech(digit))) as speech:
            assert speech.getnframes() > speech.getframerate()


def test_every_digit_has_a_chinese_clip_of_the_right_kind() -> None:
    for digit in captcha.ALPHABET:
        with wave.open(str(captcha.VOICES / digit / "zh.wav")) as clip:
            assert (clip.getnchannels(), clip.getsampwidth(), clip.getframerate()) == (1, 1, 8000)
            assert 0.2 < clip.getnframes() / clip.getframerate() < 0.6
