from __future__ import annotations

from tests.web.conftest import make_world, reader, seeded, world

__all__ = ["make_world", "reader", "seeded", "world"]
