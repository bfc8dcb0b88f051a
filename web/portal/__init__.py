"""The self-service system (自助服务系统): campus network only, unified identity."""

from __future__ import annotations

from flask import Blueprint

from web.guards import require_campus
from web.portal import login, overview

blueprint = Blueprint("portal", __name__, url_prefix="/self")
# For every page of the portal, also for those that log in.
blueprint.before_request(require_campus)
blueprint.register_blueprint(login.blueprint)
blueprint.register_blueprint(overview.blueprint)
