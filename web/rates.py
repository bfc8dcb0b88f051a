"""Rate limits of pages."""

from __future__ import annotations

from web.current import services


def slow_down(what: str, who: str, *, limit: int, window_s: int) -> None:
    """Count one more `what` by `who`. Raises: LimitReached."""
    services().limiter.hit(f"web:{what}:{who}", limit=limit, window_s=window_s)
