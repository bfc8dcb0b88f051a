"""Rate limits of pages."""

from __future__ import annotations

from flask import Flask, request, session

from models.people.login_session import SubjectKind
from web.current import services

# A campus or a mobile carrier stands behind one address: this stops a flood, not people.
ANONYMOUS, ANONYMOUS_WINDOW_S = 3000, 600
# A browser that was here before has a budget of its own, so that a stranger behind the same address cannot
# use it up; all of them together are bounded, since browsers can be invented.
KNOWN_BROWSER, KNOWN_BROWSERS = 300, 30_000
# Signed by the other side and limited by its own checks, or served without work.
EXEMPT_BLUEPRINT = "hooks"
EXEMPT = frozenset({"static", "public.healthz", "public.readyz"})


def register(app: Flask) -> None:
    """Limit by address whatever a browser without a login asks for."""
    app.before_request(_limit_anonymous)


def slow_down(what: str, who: str, *, limit: int, window_s: int) -> None:
    """Count one more `what` by `who`. Raises: LimitReached."""
    services().limiter.hit(f"web:{what}:{who}", limit=limit, window_s=window_s)


def known_browser() -> str | None:
    """Return the name that this site gave to the browser, from its signed cookie."""
    name = session.get("browser")
    return name if isinstance(name, str) else None


def _limit_anonymous() -> None:
    if request.endpoint in EXEMPT or request.blueprint == EXEMPT_BLUEPRINT:
        return
    if any(kind.value in session for kind in SubjectKind):
        return
    address, browser = request.remote_addr or "", known_browser()
    if browser is None:
        slow_down("anonymous", address, limit=ANONYMOUS, window_s=ANONYMOUS_WINDOW_S)
    else:
        slow_down("browsers", address, limit=KNOWN_BROWSERS, window_s=ANONYMOUS_WINDOW_S)
        slow_down("browser", browser, limit=KNOWN_BROWSER, window_s=ANONYMOUS_WINDOW_S)
