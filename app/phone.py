"""A student's phone without a screen: chats and opens pages through the simulated WeChat, for checks.

Only the standard library: this runs against any campusnet that talks to a simulator, in its own process.
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, TypeVar

T = TypeVar("T")

TIMEOUT_S = 20.0


class PhoneError(Exception):
    """Something on the way did not go as a student would expect."""


class Form:
    """One form of a page: where it goes and what it sends."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.fields: dict[str, str] = {}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.csrf = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect forms, hidden fields and the CSRF token for scripts."""
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(has.get("action", ""), has.get("method", "get").lower()))
        elif tag == "input" and self.forms and has.get("name"):
            if has.get("type") in {"radio", "checkbox"} and "checked" not in has:
                return
            self.forms[-1].fields[has["name"]] = has.get("value", "")
        elif tag == "meta" and has.get("name") == "csrf-token":
            self.csrf = has.get("content", "")


class Page:
    """What the phone shows: `url` after redirects, `text` as HTML."""

    def __init__(self, url: str, status: int, text: str) -> None:
        self.url = url
        self.status = status
        self.text = text
        parsed = _Page()
        parsed.feed(text)
        self.forms = parsed.forms
        self.csrf = parsed.csrf or next(
            (form.fields["csrf_token"] for form in parsed.forms if "csrf_token" in form.fields), ""
        )

    def form(self, part: str = "") -> Form:
        """The first form whose action contains `part`."""
        for form in self.forms:
            if part in form.action:
                return form
        raise PhoneError(f"{self.url} has no form for {part!r}")


class Phone:
    """One student at one simulated WeChat; pages go through its WebView, cookies stay there."""

    def __init__(self, wechat: str, student: str, password: str = "demo") -> None:  # noqa: S107 - a demo account
        self.wechat = wechat.rstrip("/")
        self.student = student
        self.password = password
        self._cookies = http.cookiejar.CookieJar()
        self._browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the simulator; its JSON answer. Raises: PhoneError on an error status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the simulator's address is ours
            self.wechat + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with self._browser.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise PhoneError(f"{path}: {error.code} {error.read()[:300]!r}") from None

    def follow(self, scene: str | None = None) -> str:
        """Follow the account. Returns: what it answers."""
        return self._push("follow", {"scene": scene} if scene else {})

    def say(self, words: str) -> str:
        """Write a message. Returns: the answer's text."""
        return self._push("text", {"text": words})

    def click(self, key: str) -> str:
        """Tap a menu entry. Returns: the answer's text."""
        return self._push("click", {"key": key})

    def messages(self) -> list[dict[str, Any]]:
        """Everything in the chat, oldest first."""
        found: list[dict[str, Any]] = self.api("GET", f"/sim/students/{self.student}/transcript")["bubbles"]
        return found

    def wait_for(self, *words: str, timeout_s: float = 15.0) -> str:
        """The first chat message from the account with all `words`. Raises: PhoneError in the end."""
        return until(
            lambda: next(
                (
                    str(b["text"])
                    for b in self.messages()
                    if b["from"] == "oa" and all(w in str(b.get("text")) for w in words)
                ),
                None,
            ),
            timeout_s=timeout_s,
            what=f"a message with {words!r}",
        )

    def open(self, url: str) -> Page:
        """Open a link in the phone's browser, following redirects."""
        query = urllib.parse.urlencode({"student": self.student, "url": url})
        return self._get(f"{self.wechat}/sim/webview/open?{query}")

    def submit(self, page: Page, form: Form, **fields: str) -> Page:
        """Send a form with some fields filled in."""
        data = urllib.parse.urlencode({**form.fields, **fields})
        target = urllib.parse.urljoin(page.url, form.action)
        if form.method == "get":
            return self._get(f"{target}?{data}")
        return self._get(target, data.encode(), {"Referer": page.url})

    def post_json(self, page: Page, path: str) -> Any:
        """What a page's script does: POST with the CSRF token, JSON back. Raises: PhoneError."""
        headers = {"X-CSRFToken": page.csrf, "Accept": "application/json", "Referer": page.url}
        answer = self._get(urllib.parse.urljoin(page.url, path), b"", headers)
        if answer.status != 200:  # noqa: PLR2004 - HTTP OK
            raise PhoneError(f"{path}: {answer.status} {answer.text[:300]}")
        return json.loads(answer.text)

    def bind(self, site_path: str = "/h5/bind/login") -> Page:
        """Log in at the unified identity and bind the student's own account."""
        page = self.open(site_path)
        if "/cas/login" in page.url:
            account_no = next(s["account_no"] for s in self.students() if s["id"] == self.student)
            page = self.submit(page, page.form(), username=account_no, password=self.password)
        return page

    def students(self) -> list[dict[str, Any]]:
        """The simulated students."""
        found: list[dict[str, Any]] = self.api("GET", "/sim/students")["students"]
        return found

    @property
    def openid(self) -> str:
        """This student's openid."""
        return str(next(s["openid"] for s in self.students() if s["id"] == self.student))

    def pay(self, link: str) -> str:
        """Open a pay link and pay like a person. Returns: the order number."""
        page = self.open(link)
        order_no = urllib.parse.urlsplit(page.url).path.rsplit("/", 1)[-1]
        params = self.post_json(page, f"/h5/pay/{order_no}/params")
        sheet = self.api("POST", "/sim/pay/invoke", {"openid": self.openid, "params": params})
        if "pay_token" not in sheet:
            raise PhoneError(f"pay sheet refused: {sheet}")
        done = self.api("POST", "/sim/pay/confirm", {"pay_token": sheet["pay_token"], "password": "123456"})
        if not str(done.get("err_msg", "")).endswith(":ok"):
            raise PhoneError(f"not paid: {done}")
        return order_no

    def _push(self, kind: str, body: object) -> str:
        delivery = self.api("POST", f"/sim/students/{self.student}/{kind}", body)["delivery"]
        reply = delivery.get("reply") or {}
        return str(reply.get("text") or reply.get("content") or "") if isinstance(reply, dict) else str(reply)

    def _get(self, url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Page:
        request = urllib.request.Request(url, data=data, headers=headers or {})  # noqa: S310 - as above
        try:
            with self._browser.open(request, timeout=TIMEOUT_S) as answer:
                return Page(answer.url, answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Page(error.url or url, error.code, error.read().decode(errors="replace"))


def link_in(text: str, part: str = "") -> str:
    """The first http link of a chat message whose address contains `part`. Raises: PhoneError."""
    for url in re.findall(r'href="(https?://[^"]+)"|(https?://[^\s"<>]+)', text):
        found = url[0] or url[1]
        if part in found:
            return str(found)
    raise PhoneError(f"no link with {part!r} in {text!r}")


def until(probe: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
    """What `probe` returns once it is neither None nor false. Raises: PhoneError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise PhoneError(f"{what} did not come within {timeout_s:g} s")
