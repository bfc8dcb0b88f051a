"""Mass sending: each clientmsgid once, each person at most four times a month, results later."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.engine import Engine
from sandbox.oa.chat import Chat
from sandbox.oa.errors import ApiError
from sandbox.oa.limits import SHANGHAI
from sandbox.oa.tags import Tags
from sandbox.oa.users import OPENID, Followers, openid_for
from sandbox.oa.values import Call, int_of, list_of, map_of, text_of

SEND_DELAY_S = 0.2
PER_MONTH = 4
REMEMBERED_S = 24 * 3600
LEAST, MOST = 2, 10_000
CLIENT_ID_LIMIT_BYTES = 64
TEXT_LIMIT_BYTES = 2048
FIRST_MSG_ID = 3_147_483_648
KINDS = {"text", "mpnews", "voice", "image", "images", "mpvideo", "wxcard"}
RECALLABLE = {"mpnews", "mpvideo"}

Push = Callable[[str, dict[str, object]], object]


@dataclass
class MassJob:
    """One accepted call; `targets` shrinks to nothing once it was worked off."""

    msg_id: int
    client_id: str
    kind: str
    content: dict[str, Any]
    targets: list[str] = field(repr=False)
    submitted_at: float
    status: str = "SENDING"
    total: int = 0
    sent: list[str] = field(default_factory=list, repr=False)
    filtered: int = 0
    errors: int = 0

    @property
    def text(self) -> str:
        """What the person reads, when it is a text."""
        return text_of(self.content, "content")


class MassSending:
    """message/mass/*; inboxes are kept by person as message numbers."""

    def __init__(self, engine: Engine, followers: Followers, tags: Tags, chat: Chat, push: Push) -> None:
        self._engine = engine
        self._followers = followers
        self._tags = tags
        self._chat = chat
        self._push = push
        self._serial = itertools.count(FIRST_MSG_ID)
        self._jobs: dict[int, MassJob] = {}
        self._by_client_id: dict[str, int] = {}
        self._inbox: dict[str, list[int]] = {}
        self._month = ""
        self._month_count: Counter[str] = Counter()

    def send_all(self, call: Call) -> dict[str, object]:
        """message/mass/sendall: everybody or one tag."""
        wanted = map_of(call.body, "filter")
        if wanted.get("is_to_all") is True:
            return self._submit(call, {"all": True}, self._followers.subscribed)
        tag_id = int_of(wanted, "tag_id")
        if tag_id is None:
            raise ApiError(40097, "filter.tag_id")
        people = self._tags.members(tag_id)
        return self._submit(call, {"tag": tag_id}, lambda: people)

    def send_list(self, call: Call) -> dict[str, object]:
        """message/mass/send: 2 to 10,000 openids; those who left count as errors."""
        openids = list_of(call.body, "touser")
        if not LEAST <= len(openids) <= MOST:
            raise ApiError(40032)
        if not all(isinstance(openid, str) and OPENID.fullmatch(openid) for openid in openids):
            raise ApiError(40031)
        # One person named twice in one call is one recipient.
        return self._submit(call, {"touser": openids}, lambda: dict.fromkeys(openids))

    def preview(self, call: Call) -> dict[str, object]:
        """message/mass/preview: to one person, at once, outside every quota of theirs."""
        openid = text_of(call.body, "touser")
        if not self._followers.follows(openid):
            raise ApiError(40003)
        kind, content = _content(call.body)
        self._chat.add(openid, "oa", f"mass_{kind}", text_of(content, "content"), content={"preview": True})
        return {"errcode": 0, "errmsg": "preview success", "msg_id": next(self._serial)}

    def get(self, call: Call) -> dict[str, object]:
        """message/mass/get: SENDING, SEND_SUCCESS, SEND_FAIL or DELETE."""
        job = self._job(call)
        return {"msg_id": job.msg_id, "msg_status": job.status}

    def delete(self, call: Call) -> dict[str, object]:
        """message/mass/delete: articles and videos only, as the platform cannot recall a text."""
        job = self._job(call)
        if job.kind not in RECALLABLE:
            raise ApiError(40008)
        job.status = "DELETE"
        for openid in job.sent:
            self._inbox[openid].remove(job.msg_id)
        job.sent.clear()
        return {"errcode": 0, "errmsg": "ok"}

    def inbox(self, openid: str) -> list[dict[str, object]]:
        """What one person received, oldest first."""
        jobs = [self._jobs[msg_id] for msg_id in self._inbox.get(openid, ())]
        return [
            {"msg_id": job.msg_id, "clientmsgid": job.client_id, "kind": job.kind, "content": job.content}
            for job in jobs
        ]

    def summary(self) -> dict[str, object]:
        """Per job and per content: how many deliveries, and the most that one person got."""
        groups: dict[str, Counter[str]] = {}
        for job in self._jobs.values():
            groups.setdefault(job.text or json.dumps(job.content, sort_keys=True), Counter()).update(job.sent)
        return {
            "jobs": [_describe(job) for job in self._jobs.values()],
            "contents": [
                {
                    "content": content,
                    "total": counts.total(),
                    "people": len(counts),
                    "max_per_openid": max(counts.values(), default=0),
                }
                for content, counts in groups.items()
            ],
        }

    def _submit(self, call: Call, scope: object, people: Callable[[], Iterable[Any]]) -> dict[str, object]:
        kind, content = _content(call.body)
        client_id = self._client_id(call, [scope, kind, content])
        now = self._engine.clock.timestamp()
        known = self._jobs.get(self._by_client_id.get(client_id, 0))
        if known is not None and now - known.submitted_at < REMEMBERED_S:
            raise ApiError(45065, msg_id=known.msg_id)
        targets = [person if isinstance(person, str) else person.openid for person in people()]
        job = MassJob(next(self._serial), client_id, kind, content, targets, now, total=len(targets))
        self._jobs[job.msg_id] = job
        self._by_client_id[client_id] = job.msg_id
        self._engine.scheduler.after(SEND_DELAY_S, lambda: self._work_off(job))
        return {
            "errcode": 0,
            "errmsg": "send job submission success",
            "msg_id": job.msg_id,
            "msg_data_id": job.msg_id - FIRST_MSG_ID + 2_455_891_298,
        }

    def _client_id(self, call: Call, derived_from: object) -> str:
        given = text_of(call.body, "clientmsgid")
        if len(given.encode()) > CLIENT_ID_LIMIT_BYTES:
            raise ApiError(45067)
        if given:
            return given
        # Without an id the platform makes one from range and content: the same notice twice is refused.
        text = json.dumps(derived_from, sort_keys=True, ensure_ascii=False)
        return "derived-" + hashlib.sha256(text.encode()).hexdigest()[:32]

    def _work_off(self, job: MassJob) -> None:
        with self._engine.lock:
            if self._jobs.get(job.msg_id) is not job:
                return
            self._turn_month()
            for openid in job.targets:
                self._give(job, openid)
            job.targets = []
            job.status = "SEND_SUCCESS" if job.status == "SENDING" else job.status
            fault = self._engine.faults.take("mass_finish")
        if fault is None or fault.name != "lost":
            self._push(openid_for(self._engine.credentials.app_id, "operator"), _finished(job))

    def _give(self, job: MassJob, openid: str) -> None:
        if not self._followers.follows(openid):
            job.errors += 1
        elif self._month_count[openid] >= PER_MONTH:
            job.filtered += 1
        else:
            self._month_count[openid] += 1
            job.sent.append(openid)
            self._inbox.setdefault(openid, []).append(job.msg_id)
            if self._chat.watches(openid):
                self._chat.add(openid, "oa", f"mass_{job.kind}", job.text, content={"content": job.content})

    def _turn_month(self) -> None:
        month = self._engine.clock.now().astimezone(SHANGHAI).strftime("%Y-%m")
        if month != self._month:
            self._month = month
            self._month_count.clear()

    def _job(self, call: Call) -> MassJob:
        job = self._jobs.get(int_of(call.body, "msg_id") or 0)
        if job is None:
            raise ApiError(40059)
        return job


def _content(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = text_of(body, "msgtype")
    if kind not in KINDS:
        raise ApiError(40008)
    content = map_of(body, kind)
    if not content or (kind == "text" and not text_of(content, "content").strip()):
        raise ApiError(44004)
    if len(text_of(content, "content").encode()) > TEXT_LIMIT_BYTES:
        raise ApiError(45002)
    return kind, content


def _describe(job: MassJob) -> dict[str, object]:
    counts = Counter(job.sent)
    return {
        "msg_id": job.msg_id,
        "clientmsgid": job.client_id,
        "status": job.status,
        "targets": job.total,
        "total": len(job.sent),
        "filtered": job.filtered,
        "errors": job.errors,
        "max_per_openid": max(counts.values(), default=0),
    }


def _finished(job: MassJob) -> dict[str, object]:
    return {
        "MsgType": "event",
        "Event": "MASSSENDJOBFINISH",
        "MsgID": job.msg_id,
        "Status": "send success",
        "TotalCount": job.total,
        "FilterCount": job.total - job.filtered,
        "SentCount": len(job.sent),
        "ErrorCount": job.errors,
        "CopyrightCheckResult": {"Count": 0, "ResultList": {}, "CheckState": 0},
        "ArticleUrlResult": {"Count": 0, "ResultList": {}},
    }
