"""Pages for everybody: health for machines, status for people, the way into the intranet."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, make_response, redirect, render_template
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from web import rendering
from web.current import services
from web.guards import require_campus
from web.health import Health, Report

blueprint = Blueprint("public", __name__)

HEALTH_KEY = "campusnet_health"

# Where the links of the chat and of the pages on the phone lead on campus.
PORTAL_PAGES = {
    "self": "/self/",
    "packages": "/self/packages",
    "log": "/self/log",
    "usage": "/self/usage",
    "traffic": "/self/traffic",
    "statement": "/self/statement",
    "payout": "/self/payout",
}


@blueprint.record_once
def _set_up(state: BlueprintSetupState) -> None:
    # What pages share is made with the application, so that nothing exists at import.
    state.app.extensions[HEALTH_KEY] = Health()
    rendering.register(state.app)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """200 when every part that a page needs is there, else 503 with the names."""
    report = _report()
    parts = {check.name: "ok" if check.ok else "down" for check in report.checks}
    return jsonify(status="ok" if report.ok else "down", checks=parts), 200 if report.ok else 503


@blueprint.get("/status")
def status() -> ResponseReturnValue:
    """The same for people; may be cached for a few seconds."""
    response: Response = make_response(render_template("status.html", report=_report()))
    response.headers["Cache-Control"] = "public, max-age=10"
    # The colours come from a cookie.
    response.vary.add("Cookie")
    return response


@blueprint.get("/go/<page>")
def go(page: str) -> ResponseReturnValue:
    """To a page of the self-service system, or an explanation how to connect."""
    if page not in PORTAL_PAGES:
        raise NotFound
    require_campus()
    return redirect(PORTAL_PAGES[page])


def _report() -> Report:
    health = current_app.extensions[HEALTH_KEY]
    if not isinstance(health, Health):
        raise TypeError("the public blueprint was not set up")
    return health.report(services())
