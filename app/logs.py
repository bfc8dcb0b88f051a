"""Logs: one line an event, ids only. JSON in production, readable in the demo."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

# Values under these keys never reach a log, whoever passes them.
SECRET_KEYS = frozenset(
    {"body", "name", "token", "access_token", "secret", "password", "ticket", "signature", "authorization"}
)
# How PostgreSQL sets off what it adds to an error, in whatever language it speaks: "DETAIL:  Key (...".
DETAIL = re.compile(r"^(\w+[:：])  .*", re.MULTILINE)


def configure(*, json: bool, level: int = logging.INFO) -> None:
    """Send structlog and the standard library through the same format, to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    last: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_values,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("werkzeug", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # A line for each request without a token; the security log has one for each source and minute.
    logging.getLogger("flask_wtf").setLevel(logging.ERROR)


def _without_values(_logger: Any, _method: str, event: Any) -> Any:
    """PostgreSQL says which values it refused: an openid, an account. The line before says enough."""
    if "exception" in event:
        event["exception"] = DETAIL.sub(r"\1 ***", event["exception"])
    return event


def _mask(_logger: Any, _method: str, event: Any) -> Any:
    for key in SECRET_KEYS.intersection(event):
        event[key] = "***"
    return event
