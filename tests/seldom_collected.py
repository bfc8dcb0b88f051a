"""A plugin: Python looks for cycles of dead objects seldom while tests run.

A process of the suite holds some 2,000 modules and 3,500 tests that never die; walking over them
each time a few hundred objects were made took a tenth of its time, and a third of the time it
needs to import them. It has to be loaded before them, so pyproject.toml names it and not
conftest.py. Cycles are still found, later; tests that watch memory measure what is reachable.
"""

from __future__ import annotations

import gc

_OBJECTS = 50_000

gc.set_threshold(_OBJECTS, 20, 50)


def pytest_collection_finish() -> None:
    """What is there now stays: it is not looked at again."""
    gc.collect()
    gc.freeze()
