from __future__ import annotations

from tests.payments.conftest import world

__all__ = ["world"]
