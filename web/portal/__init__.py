"""The self-service system (自助服务系统): campus network only, unified identity."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from web.current import services
from web.guards import require_campus
from web.portal import (
    captcha,
    device,
    log,
    login,
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
# For every page of the portal, also for those that log in.
blueprint.before_request(require_campus)
PAGES = (
    *(login, overview, recharge, service, packages, captcha, log),
    *(usage, device, traffic, statement, payout, notices),
)
for page in PAGES:
    blueprint.register_blueprint(page.blueprint)


@blueprint.context_processor
def _menu() -> dict[str, Any]:
    can = services().billing.capabilities()
    return {"menu": menu.entries(can, request.path), "can": can}
