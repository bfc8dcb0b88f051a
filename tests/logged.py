"""Log lines of one module as its log would hold them, values of the logging context included."""

from __future__ import annotations

from types import ModuleType

import pytest
import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict, Processor


def lines_of(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType, name: str = "log") -> list[EventDict]:
    """Collect what these modules log from now on."""
    capture = LogCapture()
    processors: list[Processor] = [structlog.contextvars.merge_contextvars, capture]
    for module in modules:
        monkeypatch.setattr(module, name, structlog.wrap_logger(None, processors=processors))
    return capture.entries
