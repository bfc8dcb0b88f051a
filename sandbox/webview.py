"""The in-app browser: everything the sandbox does not own is fetched from the site for one student."""

from __future__ import annotations

import re
import threading

import requests
from flask import Blueprint, Response, request

from sandbox.browser import COOKIE, student_of_request
from sandbox.engine import Engine
from sandbox.pages import page
from sandbox.students import Student, Students
from sandbox.urls import inside

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TIMEOUT_S = 60.0
BRIDGE = b'<script src="/sim/bridge.js"></script>'
USER_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.50.2701(0x28003257) "
    "WeChat/arm64 Weixin NetType/{network} Language/zh_CN ABI/arm64"
)
KEPT_BACK = {"host", "cookie", "user-agent", "content-length", "connection", "keep-alive", "accept-encoding"}
KEPT_BACK |= {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "te"}
DROPPED = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-encoding",
    "content-length",
    "set-cookie",
}
DROPPED |= {
    "x-frame-options",
    "content-security-policy",
    "strict-transport-security",
    "location",
    "hx-redirect",
}
HEAD_TAG = re.compile(rb"<head(\s[^>]*)?>", re.IGNORECASE)


class WebView:
    """One cookie jar per student; `forget` is a fresh install of the app."""

    def __init__(self, engine: Engine, students: Students) -> None:
        self.students = students
        self.engine = engine
        self._jars: dict[str, requests.Session] = {}
        self._lock = threading.Lock()

    def jar(self, student: Student) -> requests.Session:
        """The student's browser session."""
        with self._lock:
            if student.identity.id not in self._jars:
                session = requests.Session()
                session.trust_env = False
                self._jars[student.identity.id] = session
            return self._jars[student.identity.id]

    def forget(self) -> None:
        """Throw all cookies and connections away."""
        with self._lock:
            for session in self._jars.values():
                session.close()
            self._jars.clear()

    def fetch(self, student: Student, own_origin: str) -> Response:
        """Send the current request on to the site and dress its answer for the phone."""
        site = self.engine.site.origin
        answer = self.jar(student).request(
            request.method,
            site + str(request.environ.get("REQUEST_URI") or request.full_path),
            data=request.get_data(),
            headers=_request_headers(student, site, own_origin),
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
        body = answer.content
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            body = inject(body)
        response = Response(body, status=answer.status_code)
        del response.headers["Content-Type"]
        for name, value in answer.headers.items():
            if name.lower() not in DROPPED:
                response.headers.add(name, value)
        _add_location(response, answer, site, own_origin)
        _add_policy(response, answer)
        return response


def webview_blueprint(webview: WebView) -> Blueprint:
    """`/sim/webview/open` and the catch-all behind every other path."""
    blueprint = Blueprint("webview", __name__)

    @blueprint.get("/sim/webview/open")
    def open_page() -> Response:
        """Take this phone in hand and go to a page of the site (or of the sandbox)."""
        student = webview.students.get(request.args.get("student", ""))
        if student is None:
            return page("没有这位同学", "<p>student 参数不对。</p>", status=404)
        target = inside(request.args.get("url", "/"), webview.engine.site.origin, request.host_url)
        if not target.startswith("/") or target.startswith("//"):
            return page("站外链接", "<p>这个地址不属于被测站点，模拟器不打开外部网页。</p>", status=400)
        response = Response(status=302, headers={"Location": target, "Cache-Control": "no-store"})
        response.set_cookie(COOKIE, student.identity.id, samesite="Lax", httponly=True)
        return response

    @blueprint.route("/<path:rest>", methods=METHODS, provide_automatic_options=False)
    def proxy(rest: str) -> Response:  # noqa: ARG001 - sent on as it came, not as decoded
        student = student_of_request(webview.students)
        if student is None or request.path.startswith("/sim/"):
            return Response("not found\n", status=404, content_type="text/plain")
        try:
            return webview.fetch(student, request.host_url)
        except requests.RequestException:
            return page("网页无法打开", "<p>站点没有应答，请稍后再试。</p>", status=502)

    return blueprint


def inject(html: bytes) -> bytes:
    """The page with the bridge as the first child of its head; unchanged when it has none."""
    return HEAD_TAG.sub(lambda found: found[0] + BRIDGE, html, count=1)


def without_frame_rule(policy: str) -> str:
    """A content security policy less its `frame-ancestors`: a WebView is no frame."""
    rules = [rule.strip() for rule in policy.split(";")]
    return "; ".join(rule for rule in rules if rule and not rule.lower().startswith("frame-ancestors"))


def _request_headers(student: Student, site: str, own_origin: str) -> dict[str, str]:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in KEPT_BACK}
    own = own_origin.rstrip("/")
    for name in ("Origin", "Referer"):
        if name in headers and headers[name].startswith(own):
            headers[name] = site + headers[name].removeprefix(own)
    network = "WIFI" if student.network == "campus" else "5G"
    return {
        **headers,
        "User-Agent": USER_AGENT.format(network=network),
        "X-Forwarded-For": student.address,
        "Accept-Encoding": "gzip, deflate",
    }


def _add_location(response: Response, answer: requests.Response, site: str, own_origin: str) -> None:
    # The last one is htmx's own redirect.
    for name in ("Location", "HX-Redirect"):
        if name in answer.headers:
            response.headers[name] = inside(answer.headers[name], site, own_origin)


def _add_policy(response: Response, answer: requests.Response) -> None:
    policy = without_frame_rule(answer.headers.get("Content-Security-Policy", ""))
    if policy:
        response.headers["Content-Security-Policy"] = policy
