"""Words that every template knows: filters for money, traffic and time, file addresses with a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import request, url_for
from flask.sansio.app import App

from models.clock import CAMPUS_ZONE
from models.money import gigabytes, traffic, yuan, yuan_short
from payments.speed_wording import why_slow
from web import targets
from web.current import services

LOOK_COOKIE = "look"
LOOKS = {
    "auto": ("", ""),
    "light": ("light", ""),
    "dark": ("dark", ""),
    "care": ("", "care"),
    "care-dark": ("dark", "care"),
}


def register(app: App) -> None:
    """Give the application's templates their words."""
    app.jinja_env.filters.update(
        yuan=yuan,
        yuan_short=yuan_short,
        gigabytes=gigabytes,
        traffic=traffic,
        hhmm=hhmm,
        day_time=day_time,
        day=day,
        why_slow=why_slow,
    )
    asset = asset_address(Path(app.static_folder or ""))
    app.context_processor(lambda: _common(asset))


def hhmm(at: datetime) -> str:
    """Campus hour and minute: 09:05."""
    return f"{at.astimezone(CAMPUS_ZONE):%H:%M}"


def day(at: datetime) -> str:
    """Campus day: 2026-11-23."""
    return f"{at.astimezone(CAMPUS_ZONE):%Y-%m-%d}"


def day_time(at: datetime) -> str:
    """Campus day and minute: 2026-11-23 09:05."""
    return f"{at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M}"


def asset_address(folder: Path) -> Callable[[str], str]:
    """A function from a static file's name to its address with the hash of its content."""

    @cache
    def version(name: str) -> str:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]

    return lambda name: url_for("static", filename=name, v=version(name))


def look() -> str:
    """The colours that the person chose: a key of LOOKS."""
    chosen = request.cookies.get(LOOK_COOKIE, "auto")
    return chosen if chosen in LOOKS else "auto"


def _common(asset: Callable[[str], str]) -> dict[str, Any]:
    theme, mode = LOOKS[look()]
    return {
        "site": services().site,
        "asset": asset,
        "asked": targets.shareable(),
        "look": look(),
        "theme": theme,
        "mode": mode,
    }
