"""Whose phone a request comes from, and redirects that keep the phone inside its own browser."""

from __future__ import annotations

from flask import Response, request

from sandbox.engine import Engine
from sandbox.students import Student, Students
from sandbox.urls import inside

COOKIE = "sim_student"


def student_of_request(students: Students) -> Student | None:
    """The holder of the phone, from the cookie that `/sim/webview/open` sets."""
    return students.get(request.cookies.get(COOKIE, ""))


def redirect_to_site(engine: Engine, url: str, student: Student | None) -> Response:
    """Back to the site; within the phone's browser when a phone asked."""
    target = inside(url, engine.site.origin) if student is not None else url
    return Response(status=302, headers={"Location": target, "Cache-Control": "no-store"})
