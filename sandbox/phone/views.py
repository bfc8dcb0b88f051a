"""Routes of the phone page: `/`, its static files and the script that stands in for WeixinJSBridge."""

from __future__ import annotations

from pathlib import Path

import requests
from flask import Blueprint, Response, jsonify, request, send_from_directory

from sandbox.browser import student_of_request
from sandbox.pages import page
from sandbox.students import Student
from sandbox.world import World

STATIC = Path(__file__).parent / "static"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def phone_blueprint(world: World) -> Blueprint:
    """Everything the browser needs to play the phone; the data comes from `/sim/`."""
    blueprint = Blueprint("phone", __name__)

    @blueprint.get("/")
    def index() -> Response:
        """The phone; inside the phone's own frame it is the site's front page instead."""
        student = student_of_request(world.students)
        if student is not None and request.headers.get("Sec-Fetch-Dest") == "iframe":
            return _site_page(world, student)
        response = send_from_directory(STATIC, "index.html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return _fresh(response)

    @blueprint.get("/sim/static/<path:name>")
    def static_file(name: str) -> Response:
        return _fresh(send_from_directory(STATIC, name))

    @blueprint.get("/sim/bridge.js")
    def bridge() -> Response:
        return _fresh(send_from_directory(STATIC, "bridge.js"))

    @blueprint.get("/sim/phone/me")
    def me() -> Response:
        """Who holds the phone (the cookie of the in-app browser) and which site it belongs to."""
        student = student_of_request(world.students)
        return _fresh(
            jsonify(student=student.identity.id if student else None, site=world.engine.site.origin)
        )

    return blueprint


def _site_page(world: World, student: Student) -> Response:
    try:
        return world.webview.fetch(student, request.host_url)
    except requests.RequestException:
        return page("网页无法打开", "<p>站点没有应答，请稍后再试。</p>", status=502)


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
