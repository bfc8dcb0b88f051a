"""Access tokens: two independent lines, their overlap, their expiry on the virtual clock."""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.engine import Engine
from sandbox.oa.errors import ApiError
from sandbox.oa.limits import SHANGHAI
from sandbox.oa.values import Call, text_of

LIFE_S = 7200
OVERLAP_S = 300
FORCED_PER_DAY = 20
FORCED_PAUSE_S = 30
REMEMBERED = 5000


@dataclass
class Token:
    """`valid_until` falls below `expires_at` when a newer token takes over."""

    value: str
    expires_at: float
    valid_until: float


class TokenDesk:
    """Issues and checks tokens; /token and /stable_token never disturb each other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tokens: dict[str, Token] = {}
        self._order: deque[str] = deque()
        self._plain: Token | None = None
        self._stable: Token | None = None
        self._forced_at = float("-inf")
        self._forced: Counter[str] = Counter()

    def issue(self, call: Call) -> dict[str, object]:
        """/cgi-bin/token: always a new token; the one before stays valid for five minutes."""
        fields = call.query if "appid" in call.query or not call.body else call.body
        self._authenticate(fields, grant="client_credential")
        now = self._engine.clock.timestamp()
        if self._plain is not None:
            self._plain.valid_until = min(self._plain.valid_until, now + OVERLAP_S)
        self._plain = self._new()
        return _answer(self._plain, now)

    def issue_stable(self, call: Call) -> dict[str, object]:
        """/cgi-bin/stable_token: the same token until five minutes before its end, or by force."""
        self._authenticate(call.body, grant="client_credential")
        now = self._engine.clock.timestamp()
        current = self._stable
        if current is None or current.valid_until - now <= OVERLAP_S:
            # The old token keeps its own end, so both work during the change.
            current = self._stable = self._new()
        elif call.body.get("force_refresh") is True:
            self._count_force(now)
            current.valid_until = 0.0
            current = self._stable = self._new()
        return _answer(current, now)

    def check(self, value: str | None) -> None:
        """Pass, or ApiError 41001 (missing), 42001 (too old), 40001 (unknown or replaced)."""
        if not value:
            raise ApiError(41001)
        token = self._tokens.get(value)
        now = self._engine.clock.timestamp()
        if token is None:
            raise ApiError(40001)
        if token.expires_at <= now:
            raise ApiError(42001)
        if token.valid_until <= now:
            raise ApiError(40001)

    def invalidate_all(self) -> None:
        """Make every token useless at once, as an outside refresh without overlap would."""
        for token in self._tokens.values():
            token.valid_until = 0.0
        self._plain = self._stable = None

    def _authenticate(self, fields: Mapping[str, object], grant: str) -> None:
        own = self._engine.credentials
        if text_of(fields, "grant_type") != grant:
            raise ApiError(40002)
        check_app(text_of(fields, "appid"), text_of(fields, "secret"), own.app_id, own.app_secret)

    def _new(self) -> Token:
        expires_at = self._engine.clock.timestamp() + LIFE_S
        token = Token(f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(96)}", expires_at, expires_at)
        self._tokens[token.value] = token
        self._order.append(token.value)
        if len(self._order) > REMEMBERED:
            self._tokens.pop(self._order.popleft(), None)
        return token

    def _count_force(self, now: float) -> None:
        day = self._engine.clock.now().astimezone(SHANGHAI).strftime("%Y-%m-%d")
        if self._forced[day] >= FORCED_PER_DAY:
            raise ApiError(45009)
        if now - self._forced_at < FORCED_PAUSE_S:
            raise ApiError(45011)
        self._forced[day] += 1
        self._forced_at = now


def check_app(app_id: str, secret: str, own_app_id: str, own_secret: str) -> None:
    """ApiError 41002/40013 for the app id, 41004/40125 for the secret."""
    if not app_id:
        raise ApiError(41002)
    if app_id != own_app_id:
        raise ApiError(40013)
    if not secret:
        raise ApiError(41004)
    if not secrets.compare_digest(secret.encode(), own_secret.encode()):
        raise ApiError(40125)


def _answer(token: Token, now: float) -> dict[str, object]:
    return {"access_token": token.value, "expires_in": int(token.expires_at - now)}
