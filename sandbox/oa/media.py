"""Temporary media, tickets and QR codes: small things the account asks the platform for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sandbox.clock import VirtualClock
from sandbox.oa.errors import ApiError
from sandbox.oa.values import Call, int_of, map_of, text_of

MEDIA_LIFE_S = 3 * 24 * 3600
MEDIA_KINDS = {"image", "voice", "video", "thumb"}
TICKET_LIFE_S = 7200
QR_LIFE_S = 2_592_000
QR_DEFAULT_LIFE_S = 60
PERMANENT_ID_LIMIT = 100_000
TEMPORARY_ID_LIMIT = 2**32
SCENE_TEXT_LIMIT = 64
QR_ACTIONS = {"QR_SCENE", "QR_STR_SCENE", "QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE"}


class MediaStore:
    """Uploaded pictures and the like, kept three days."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._expires_at: dict[str, float] = {}

    def upload(self, call: Call) -> dict[str, object]:
        """media/upload: multipart field `media`."""
        kind = call.query.get("type", "")
        if kind not in MEDIA_KINDS:
            raise ApiError(40004)
        if call.file is None or not call.file[1]:
            raise ApiError(41005)
        media_id = secrets.token_urlsafe(48)
        now = self._clock.timestamp()
        self._expires_at[media_id] = now + MEDIA_LIFE_S
        return {"type": kind, "media_id": media_id, "created_at": int(now)}

    def check(self, media_id: str) -> None:
        """ApiError 40007 unless the media exists still."""
        if self._expires_at.get(media_id, 0.0) <= self._clock.timestamp():
            raise ApiError(40007)


class Tickets:
    """Tickets for the JS-SDK (and cards); the same one until it expires."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._current: dict[str, tuple[str, float]] = {}

    def get(self, call: Call) -> dict[str, object]:
        """ticket/getticket."""
        kind = call.query.get("type", "")
        if kind not in {"jsapi", "wx_card"}:
            raise ApiError(40097)
        now = self._clock.timestamp()
        ticket, expires_at = self._current.get(kind, ("", 0.0))
        if expires_at <= now:
            ticket, expires_at = secrets.token_urlsafe(64), now + TICKET_LIFE_S
            self._current[kind] = (ticket, expires_at)
        return {"errcode": 0, "errmsg": "ok", "ticket": ticket, "expires_in": int(expires_at - now)}


@dataclass(frozen=True)
class QrCode:
    """A scene behind a ticket; `expires_at` is None for a permanent one."""

    ticket: str
    scene: str
    expires_at: float | None


class QrCodes:
    """QR codes with a scene; scanning one follows the account or sends SCAN."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._codes: dict[str, QrCode] = {}

    def create(self, call: Call) -> dict[str, object]:
        """qrcode/create, temporary or permanent, by number or by text."""
        action = text_of(call.body, "action_name")
        if action not in QR_ACTIONS:
            raise ApiError(40052)
        permanent = action.startswith("QR_LIMIT")
        wanted = map_of(map_of(call.body, "action_info"), "scene")
        scene = (
            _scene_text(wanted) if action.endswith("STR_SCENE") else _scene_id(wanted, permanent=permanent)
        )
        life_s = None if permanent else int_of(call.body, "expire_seconds") or QR_DEFAULT_LIFE_S
        if life_s is not None and not 0 < life_s <= QR_LIFE_S:
            raise ApiError(40053)
        expires_at = None if life_s is None else self._clock.timestamp() + life_s
        code = QrCode("gQ" + secrets.token_urlsafe(64), scene, expires_at)
        self._codes[code.ticket] = code
        answer: dict[str, object] = {
            "ticket": code.ticket,
            "url": f"http://weixin.qq.com/q/{secrets.token_urlsafe(15)}",
        }
        return answer if life_s is None else {**answer, "expire_seconds": life_s}

    def ticket_of(self, scene: str) -> str:
        """The ticket that was issued for a scene, or one made up for tests that skipped the call."""
        now = self._clock.timestamp()
        for code in self._codes.values():
            if code.scene == scene and (code.expires_at is None or code.expires_at > now):
                return code.ticket
        return "gQ" + secrets.token_urlsafe(64)


def _scene_id(scene: dict[str, object], *, permanent: bool) -> str:
    number = int_of(scene, "scene_id")
    limit = PERMANENT_ID_LIMIT + 1 if permanent else TEMPORARY_ID_LIMIT
    if number is None or not 0 < number < limit:
        raise ApiError(40053)
    return str(number)


def _scene_text(scene: dict[str, object]) -> str:
    text = text_of(scene, "scene_str")
    if not 1 <= len(text) <= SCENE_TEXT_LIMIT:
        raise ApiError(40053)
    return text
