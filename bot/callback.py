"""The platform's entrance: 403 for the forged, 400 for garbage, 200 for everything authentic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import structlog

from bot.context import Text
from bot.envelope import CallbackConfig, Envelope
from bot.exchange import Desk, Exchange
from bot.format_watch import FormatWatch
from bot.push import dedup_key, push_of
from bot.push_json import JSON, is_json
from bot.replies import ReplyStore
from bot.robot import CampusRobot
from bot.xmlread import Tree
from models.clock import Clock
from models.errors import Forged, Malformed

XML = "application/xml; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
# What the platform takes for "nothing to say, do not send it again"; never encrypted.
SUCCESS = "success"
LATE = "正在处理，请稍候，结果会发到这里。"
# Kept of the deadline for storing the reply.
RESERVE_S = 0.3
WORKERS = 32

_log = structlog.get_logger(__name__)

Answered = tuple[int, str, str]


class Callback:
    """Answers the platform's requests with (status, body, content type); never raises from `handle`."""

    def __init__(
        self,
        config: CallbackConfig,
        store: ReplyStore,
        robot: CampusRobot[Any],
        clock: Clock,
        tell: Callable[[str, str], object],
        *,
        workers: int = WORKERS,
    ) -> None:
        """Prepare ciphers and threads.

        Args:
            tell: sends a customer message (openid, text); used for what comes after the deadline.
        """
        self._config = config
        self._envelope = Envelope(config, clock)
        self._clock = clock
        self._store = store
        self._format_watch = FormatWatch(store, clock)
        self._desk = Desk(robot, store, clock, tell)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="handler")

    def verify(self, query: Mapping[str, str]) -> str:
        """The text to echo (as text/plain) when the console checks our address.

        Raises:
            Forged: signature or age is wrong.
            Malformed: nothing to echo.
        """
        return self._envelope.check_address(query)

    def handle(self, query: Mapping[str, str], body: bytes) -> Answered:
        """Answer one push."""
        deadline_s = time.monotonic() + self._config.deadline_s
        try:
            fields = self._envelope.open(query, body)
        except Forged as error:
            _log.debug("push refused", reason=str(error))
            return error.status, "forbidden", PLAIN
        except Malformed as error:
            _log.debug("push refused", reason=str(error))
            return error.status, "bad request", PLAIN
        as_json = is_json(body)
        try:
            self._format_watch.note(as_json=as_json)
            reply = self._reply_to(fields, deadline_s)
            if reply:
                sealed = self._envelope.seal(reply, query["nonce"], self._clock(), as_json=as_json)
                return 200, sealed, JSON if as_json else XML
        except Exception:  # noqa: BLE001 - the entrance answers whatever happens
            # Whatever breaks here, an error status would only bring the same push twice again.
            _log.exception("push not answered")
        return 200, SUCCESS, PLAIN

    def close(self) -> None:
        """Let running handlers end; nothing is answered afterwards."""
        self._pool.shutdown(wait=True)

    def _reply_to(self, fields: Tree, deadline_s: float) -> str:
        push = push_of(fields)
        claim = self._store.begin(dedup_key(fields), push.openid)
        if not claim.ours:
            return self._store.wait(claim, deadline_s) or "" if claim.reply is None else claim.reply
        exchange = Exchange(self._desk, claim, push, fields["ToUserName"])
        # With the logging context of this request: its id stands in the lines of the handler, too.
        self._pool.submit(copy_context().run, exchange.run)
        if exchange.wait(deadline_s - RESERVE_S - time.monotonic()):
            return exchange.reply
        if not exchange.take("deadline"):
            # The handler is storing its reply at this moment.
            if exchange.wait(deadline_s - time.monotonic()):
                return exchange.reply
            if not exchange.take("deadline"):
                return ""
        late = exchange.render(Text(LATE))
        self._store.finish(claim, push.openid, late, None)
        return late
