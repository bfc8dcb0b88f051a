"""Notices to everybody: planned once, sent in batches, each batch at most once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bot.audience import MAX_BATCH, MIN_BATCH, Fingerprint, batches, distinct, fingerprint
from bot.broadcast_steps import (
    BroadcastDiffers,
    add_batch,
    close_if_done,
    count_batches,
    find_broadcast,
    find_notice,
    fingerprint_of,
    mark_attempt,
    mark_failed,
    mark_sending,
    mark_submitted,
    next_batch,
    record_outcome,
    record_result,
    submitted,
    text_of,
)
from bot.client import WechatClient
from bot.errors import AlreadySubmitted, ApiRefused, RetriedTooFast
from models.clock import Clock
from models.db.engine import Database
from models.errors import Conflict, Refused, ServiceError, Unavailable, Unknown
from models.notice import BatchStatus, Broadcast, BroadcastBatch, BroadcastStatus, Notice

# WeChat refuses the same clientmsgid again within a minute (45066) and knows it for a day.
RETRY_S = 61
KNOWN_FOR = timedelta(hours=23)
MAX_TRIES = 5
CALLS_PER_MINUTE = 50
# The list is at fault, not the call: the other batches may still go out.
BAD_LIST_CODES = frozenset({40003, 40031, 40032})
NO_SUCH_MESSAGE = 40059
TITLE_MAX = 64

__all__ = ["Broadcaster", "Progress", "Quota", "record_result"]


@dataclass(frozen=True)
class Quota:
    """How many mass messages the account may send today."""

    daily_limit: int
    used: int
    remain: int


@dataclass(frozen=True)
class Progress:
    """Where a broadcast stands; the numbers count batches, `recipients` people (0: WeChat knows)."""

    key: str
    status: BroadcastStatus
    recipients: int
    planned: int
    submitted: int
    sent: int
    failed: int

    @property
    def total(self) -> int:
        """All batches."""
        return self.planned + self.submitted + self.sent + self.failed


@dataclass(frozen=True)
class Draft:
    """What a key sends to whom: shown for confirmation, then frozen as it is.

    `known` is where the broadcast stands if the key was frozen before.
    """

    key: str
    notice_id: int
    audience: str
    tag_id: int | None
    openids: Fingerprint
    content: str
    known: Progress | None

    @property
    def calls(self) -> int:
        """How many calls of the platform it takes."""
        return max(1, -(-self.openids.count // MAX_BATCH))

    @property
    def to_go(self) -> int:
        """How many calls have no answer yet."""
        return self.calls if self.known is None else self.known.planned


class Broadcaster:
    """Plans, sends and follows broadcasts."""

    def __init__(
        self,
        database: Database,
        client: WechatClient,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._client = client
        self._clock = clock
        self._sleep = sleep

    def write_notice(self, title: str, body: str) -> int:
        """Publish a notice under 公告. Returns: its id. Raises: Refused - no title, or no text."""
        if not (title.strip() and title.isprintable() and len(title) <= TITLE_MAX):
            raise Refused(f"公告标题须为一行，1 到 {TITLE_MAX} 个字")
        if not body.strip():
            raise Refused("公告没有正文")
        notice = Notice(title=title, body=body, published_at=self._clock())
        with self._database.transaction() as session:
            session.add(notice)
        return notice.id

    def preview(self, notice_id: int, openid: str) -> None:
        """Show one person what a broadcast would look like (100 a day). Raises: NoSuchNotice."""
        with self._database.reading() as session:
            text = text_of(find_notice(session, notice_id))
        body = {"touser": openid, "msgtype": "text", "text": {"content": text}}
        self._client.post("message/mass/preview", body)

    def quota(self, audience: str = "list") -> Quota:
        """What is left of today's quota, as the platform counts it."""
        call = "send" if audience == "list" else "sendall"
        answer = self._client.post("openapi/quota/get", {"cgi_path": f"/cgi-bin/message/mass/{call}"})
        counts = answer.get("quota")
        if not isinstance(counts, dict):
            raise Unknown("no quota in the answer")
        return Quota(*(int(counts.get(name, 0)) for name in ("daily_limit", "used", "remain")))

    def draft(
        self,
        key: str,
        notice_id: int,
        audience: str,
        *,
        tag_id: int | None = None,
        openids: Iterable[str] = (),
    ) -> Draft:
        """Work out what would be sent to whom; nothing is stored.

        Args:
            key: the caller's name for this sending; it decides the clientmsgids.
            audience: `all`, `tag` (with `tag_id`) or `list` (with `openids`, read once and never held).

        Raises:
            Refused: no such notice, a list of fewer than two people, or an unknown audience.
            BroadcastDiffers: the key was frozen with another audience or another text.
        """
        if audience not in {"all", "tag", "list"} or (audience == "tag") != (tag_id is not None):
            raise Refused("群发对象应为全部、一个标签或一份名单")
        listed = fingerprint(distinct(openids)) if audience == "list" else Fingerprint()
        if audience == "list" and listed.count < MIN_BATCH:
            raise Refused("群发名单至少要有两个人；只发给一个人请用预览")
        with self._database.reading() as session:
            content = text_of(find_notice(session, notice_id))
            draft = Draft(key, notice_id, audience, tag_id, listed, content, None)
            known = session.scalar(select(Broadcast).where(Broadcast.key == key))
            if known is None:
                return draft
            _check_same(session, known, draft)
            return replace(draft, known=_progress(session, known))

    def freeze(self, draft: Draft, openids: Iterable[str] = ()) -> Progress:
        """Store audience and text of a confirmed draft, all batches at once; again changes nothing.

        Args:
            openids: the list again, read once.

        Raises:
            BroadcastDiffers: the key was frozen with something else meanwhile, or the list is not the
                one that was confirmed.
        """
        try:
            with self._database.transaction() as session:
                known = session.scalar(select(Broadcast).where(Broadcast.key == draft.key))
                if known is None:
                    known = self._store(session, draft, openids)
                _check_same(session, known, draft)
                return _progress(session, known)
        except IntegrityError as error:
            raise Conflict(f"broadcast {draft.key} was frozen by another process") from error

    def _store(self, session: Session, draft: Draft, openids: Iterable[str]) -> Broadcast:
        broadcast = Broadcast(
            key=draft.key,
            notice_id=draft.notice_id,
            audience=draft.audience,
            audience_arg=None if draft.tag_id is None else str(draft.tag_id),
            content=draft.content,
            status=BroadcastStatus.PLANNED,
            recipients=0,
            created_at=self._clock(),
        )
        session.add(broadcast)
        session.flush()  # the id is needed by the batches
        for seq, group in enumerate(batches(distinct(openids)) if draft.audience == "list" else [[]]):
            add_batch(session, broadcast, seq, group)
            session.flush()  # one batch at a time in memory: the session forgets what is written
            broadcast.recipients += len(group)
        session.flush()
        return broadcast

    def progress(self, key: str) -> Progress:
        """Where the broadcast stands. Raises: NoSuchBroadcast."""
        with self._database.reading() as session:
            return _progress(session, find_broadcast(session, key))

    def send(self, key: str, report: Callable[[Progress], object] = lambda _: None) -> Progress:
        """Send every batch that has not been sent; call it again after any interruption.

        Args:
            report: called after each batch.

        Raises:
            QuotaExhausted: go on tomorrow with the same key.
            ApiRefused, Unknown, Unavailable: go on with the same key once it is repaired.
        """
        calls = 0
        while (batch := self._take_batch(key)) is not None:
            if calls and calls % CALLS_PER_MINUTE == 0:
                self._sleep(RETRY_S)
            calls += 1
            self._submit(key, batch)
            report(self.progress(key))
        return self.progress(key)

    def poll(self, key: str) -> Progress:
        """Ask for results whose event was lost or is late."""
        with self._database.reading() as session:
            waiting = submitted(session, find_broadcast(session, key).id)
        for msg_id in waiting:
            self._ask_for(msg_id)
        return self.progress(key)

    def _take_batch(self, key: str) -> BroadcastBatch | None:
        now = self._clock()
        with self._database.transaction() as session:
            broadcast = find_broadcast(session, key)
            while (batch := next_batch(session, broadcast.id)) is not None:
                if batch.submitted_at is None or now - batch.submitted_at < KNOWN_FOR:
                    break
                # It may have gone out yesterday and WeChat no longer knows: a person has to look.
                mark_failed(session, batch.id, {"error": "in doubt for too long"}, now)
            if batch is None:
                close_if_done(session, broadcast.id, now)
            else:
                mark_sending(session, broadcast, now)
        return batch

    def _submit(self, key: str, batch: BroadcastBatch) -> None:
        path, body = self._call_of(key, batch)
        # Since when the batch may be out, as far as earlier calls go.
        in_doubt_since = batch.submitted_at
        for tries in range(1, MAX_TRIES + 1):
            attempt_at = in_doubt_since or self._clock()
            # Committed before the call: if we are killed now, the next run knows that it may be out.
            self._mark_attempt(batch, attempt_at)
            try:
                answer = self._client.post(path, body)
            except AlreadySubmitted as before:
                self._mark_submitted(batch, before.msg_id)
                return
            except (Unknown, RetriedTooFast):
                in_doubt_since = attempt_at
                if tries == MAX_TRIES:
                    raise
                self._sleep(RETRY_S)
            except (ApiRefused, Unavailable) as error:
                # This call certainly did nothing; what earlier ones did stays in doubt.
                self._mark_attempt(batch, in_doubt_since)
                self._give_up_or_raise(batch, error)
                return
            else:
                self._mark_submitted(batch, str(answer.get("msg_id") or ""))
                return

    def _call_of(self, key: str, batch: BroadcastBatch) -> tuple[str, dict[str, Any]]:
        with self._database.reading() as session:
            broadcast = find_broadcast(session, key)
        content = {"content": broadcast.content}
        message = {"msgtype": "text", "text": content, "clientmsgid": batch.clientmsgid}
        if broadcast.audience == "list":
            return "message/mass/send", {"touser": batch.openids, **message}
        everybody = {"is_to_all": True}
        tagged = {"is_to_all": False, "tag_id": int(broadcast.audience_arg or 0)}
        return "message/mass/sendall", {
            "filter": everybody if broadcast.audience == "all" else tagged,
            **message,
        }

    def _give_up_or_raise(self, batch: BroadcastBatch, error: ServiceError) -> None:
        if not isinstance(error, ApiRefused) or error.errcode not in BAD_LIST_CODES:
            raise error
        reason = {"errcode": error.errcode, "error": error.message}
        with self._database.transaction() as session:
            mark_failed(session, batch.id, reason, self._clock())

    def _mark_attempt(self, batch: BroadcastBatch, at: datetime | None) -> None:
        with self._database.transaction() as session:
            mark_attempt(session, batch.id, at)

    def _mark_submitted(self, batch: BroadcastBatch, msg_id: str) -> None:
        with self._database.transaction() as session:
            mark_submitted(session, batch.id, msg_id, self._clock())

    def _ask_for(self, msg_id: str) -> None:
        try:
            answer = self._client.post("message/mass/get", {"msg_id": int(msg_id)})
        except ApiRefused as refused:
            # The platform does not always know a message at once.
            if refused.errcode == NO_SUCH_MESSAGE:
                return
            raise
        status = str(answer.get("msg_status", ""))
        # DELETE: an operator recalled it after it had been sent.
        if status in {"SEND_SUCCESS", "SEND_FAIL", "DELETE"}:
            with self._database.transaction() as session:
                result, sent = {"Status": status}, status != "SEND_FAIL"
                record_outcome(session, msg_id, sent=sent, result=result, now=self._clock())


def _progress(session: Session, broadcast: Broadcast) -> Progress:
    counts = count_batches(session, broadcast.id)
    return Progress(
        broadcast.key,
        BroadcastStatus(broadcast.status),
        broadcast.recipients,
        *(counts.get(status, 0) for status in BatchStatus),
    )


def _check_same(session: Session, known: Broadcast, draft: Draft) -> None:
    """Raises: BroadcastDiffers - the stored broadcast is not the one of the draft."""
    wanted = (draft.audience, None if draft.tag_id is None else str(draft.tag_id))
    if (known.audience, known.audience_arg) != wanted or fingerprint_of(session, known) != draft.openids:
        raise BroadcastDiffers(
            f"群发 {draft.key} 已确定的对象是{_audience_words(known)}，与这次的不同；"
            "未发送任何内容。请用原来的对象继续，或用 --key 另起一个名称"
        )
    if (known.notice_id, known.content) != (draft.notice_id, draft.content):
        raise BroadcastDiffers(
            f"群发 {draft.key} 已确定的是公告 {known.notice_id} 当时的内容，与这次的不同；"
            "未发送任何内容。请用 --key 另起一个名称"
        )


def _audience_words(known: Broadcast) -> str:
    if known.audience == "all":
        return "全部关注者"
    return f"标签 {known.audience_arg}" if known.audience == "tag" else f"一份 {known.recipients} 人的名单"
