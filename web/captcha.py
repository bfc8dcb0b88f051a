"""Captchas: six digits to be seen or heard, kept in Redis, good for one purpose."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

from captcha.audio import AudioCaptcha
from captcha.image import ImageCaptcha
from redis import Redis

from bot.redis_gate import RedisGate, Script, text_of
from models.errors import CaptchaWrong

# Nothing that sounds like something else in Chinese: yī is taken for qī, jiǔ for liù.
ALPHABET = "02345678"
LENGTH = 6
PICTURE_SIZE = (240, 72)
# One folder a digit; `vendor.toml` beside it says where they come from.
VOICES = Path(__file__).parent / "static" / "vendor" / "dchest-captcha-zh"
TTL_S = 120
MARK = re.compile(r"[0-9a-f]{24}")

# An answer ends the captcha. A right one leaves a mark of what it was for, so that the same form
# sent twice is let through twice, and no other.
_REDEEM = Script("""
local held = redis.call('GET', KEYS[1])
if held == ARGV[2] then return 1 end
redis.call('DEL', KEYS[1])
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
""")


class Captchas:
    """Each belongs to one owner (a login). Every method raises RedisDown while Redis is away."""

    def __init__(self, redis: Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gate = RedisGate(redis, monotonic)

    def issue(self, owner: str) -> str:
        """A new captcha. Returns: its mark, which says nothing about its text."""
        mark = secrets.token_hex(12)
        text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        self._gate.ask("SET", _key(mark), _open(owner, text), "EX", TTL_S)
        return mark

    def text_of(self, owner: str, mark: str) -> str | None:
        """What is to be drawn or spoken; None when it is used up, too old or somebody else's."""
        held = text_of(self._gate.ask("GET", _key(mark))) if MARK.fullmatch(mark) else None
        known_owner, _, text = (held or "").partition("|")
        return text if known_owner == owner and len(text) == LENGTH else None

    def redeem(self, owner: str, mark: str, typed: str, *, purpose: str) -> None:
        """Accept the right answer for `purpose`, as often as asked for the same one; a wrong one ends it.

        Raises: CaptchaWrong.
        """
        if not MARK.fullmatch(mark):
            raise CaptchaWrong
        right = self._gate.run(
            _REDEEM, [_key(mark)], _open(owner, _plain(typed)), f"{owner}|passed:{purpose}", TTL_S
        )
        if not right:
            raise CaptchaWrong


def picture(text: str) -> bytes:
    """The digits as a PNG that programs read badly."""
    return ImageCaptcha(*PICTURE_SIZE).generate(text).getvalue()


def speech(text: str) -> bytes:
    """The digits spoken in Chinese over noise, as WAV."""
    return bytes(AudioCaptcha(str(VOICES)).generate(text))


def _key(mark: str) -> str:
    return f"campusnet:captcha:{mark}"


def _open(owner: str, text: str) -> str:
    return f"{owner}|{text}"


def _plain(typed: str) -> str:
    return "".join(unicodedata.normalize("NFKC", typed).split())
