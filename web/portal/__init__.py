"""The self-service system (自助服务系统): campus network only, unified identity."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from web.current import services
from web.guards import require_campus
from web.portal import (
    bindings,
    captcha,
    device,
    log,
    login,
    logins,
    menu,
    notices,
    overview,
    packages,
    payout,
    recharge,
    service,
    statement,
    traffic,
    usage,
)

blueprint = Blueprint("portal", __name__, url_prefix="/self")
single_logout = login.single_logout
SINGLE_LOGOUT = "portal.login.single_logout"
PAGES = (
    *(login, overview, recharge, service, packages, captcha, log),
    *(usage, device, traffic, statement, payout, notices),
    *(logins, bindings),
)
for page in PAGES:
    blueprint.register_blueprint(page.blueprint)


@blueprint.before_request
def _campus_only() -> None:
    """Every page of the portal, those that log in included; the identity server may stand elsewhere."""
    if request.endpoint != SINGLE_LOGOUT:
        require_campus()


@blueprint.context_processor
def _menu() -> dict[str, Any]:
    can = services().billing.capabilities()
    return {"menu": menu.entries(can, request.path), "can": can}
