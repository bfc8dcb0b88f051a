"""Where tests keep their files."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one
# Six databases of a cluster, its log and the files of a run, with room to spare.
_ENOUGH_BYTES = 4 * 1024**3


@cache
def quick_folder() -> Path:
    """Memory where it is large enough, else the usual folder: a database syncs at every commit."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ENOUGH_BYTES:
        return _MEMORY
    return Path("/tmp")  # noqa: S108 - short: sockets lie in it, and a socket's path has a limit


@cache
def vectors(name: str) -> dict[str, Any]:
    """Test data made by others: `pay` or `wechat`; not to be changed."""
    text = (Path(__file__).parent / "data" / f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
