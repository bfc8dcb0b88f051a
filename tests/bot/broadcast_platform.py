"""The platform's side of mass messages, and a clock that sleeps at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from bot.broadcast import Broadcaster, Progress
from tests.bot.bot_fake_api import FakeApi

SEND = "/cgi-bin/message/mass/send"
SEND_ALL = "/cgi-bin/message/mass/sendall"


class Platform:
    """Mass messages as the platform keeps them: by clientmsgid, each sent once."""

    def __init__(self, api: FakeApi) -> None:
        self.by_client: dict[str, int] = {}
        self.received: Counter[str] = Counter()
        self.lose_answers = 0
        self.refuse: dict[str, Any] | None = None
        api.on(SEND, self.send)
        api.on(SEND_ALL, self.send)

    def send(self, _: dict[str, str], body: dict[str, Any]) -> Any:
        if self.refuse is not None:
            return self.refuse
        client_id = body["clientmsgid"]
        if client_id in self.by_client:
            return {"errcode": 45065, "errmsg": "clientmsgid exist", "msg_id": self.by_client[client_id]}
        self.by_client[client_id] = 3147483661 + len(self.by_client)
        self.received.update(body.get("touser", ["everybody"]))
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return {"errcode": 0, "errmsg": "send job submission success", "msg_id": self.by_client[client_id]}


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.slept_s: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now += timedelta(seconds=seconds)


def people(count: int) -> Iterator[str]:
    return (f"oStudent-{number:07d}" for number in range(count))


def plan(
    caster: Broadcaster,
    key: str,
    notice_id: int,
    audience: str,
    *,
    tag_id: int | None = None,
    openids: Iterable[str] = (),
) -> Progress:
    """Draft, confirm and freeze."""
    listed = list(openids)
    draft = caster.draft(key, notice_id, audience, tag_id=tag_id, openids=listed)
    return caster.freeze(draft, listed)
