"""Notice that the console is set to JSON, and say so: in the log once a minute, to `doctor` through Redis."""

from __future__ import annotations

import threading

import structlog

from bot.replies import ReplyStore
from models.clock import Clock

EVERY_S = 60
ADVICE = "公众平台“服务器配置”中的数据格式选 XML"

_log = structlog.get_logger(__name__)


class FormatWatch:
    """Counts nothing: one flag, and when it was told last."""

    def __init__(self, store: ReplyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._told_s: int | None = None

    def note(self, *, as_json: bool) -> None:
        """Note the format of an authentic push."""
        if not as_json and self._told_s is None:
            return
        now_s = int(self._clock().timestamp())
        with self._lock:
            told_s = self._told_s
            due = as_json and (told_s is None or not 0 <= now_s - told_s < EVERY_S)
            over = not as_json and told_s is not None
            if due:
                self._told_s = now_s
            elif over:
                self._told_s = None
        if due:
            _log.warning("push_format_json", advice=ADVICE)
            self._store.note_json_push(now_s)
        elif over:
            self._store.forget_json_pushes()
