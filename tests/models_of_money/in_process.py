"""The simulated pay platform without sockets, threads or real time: every step is the test's own."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from models.errors import ServiceError
from sandbox import fault_catalogue
from sandbox.clock import Scheduler, VirtualClock
from sandbox.credentials import Credentials
from sandbox.engine import Engine, Site
from sandbox.faults import Fault
from sandbox.pay import PayPlatform, connection, pay_blueprint
from sandbox.wire import Outbound
from tests.crashes.points import Crash

ORIGIN = "http://pay.invalid"
Receive = Callable[[Mapping[str, str], bytes], None]


class HandClock(VirtualClock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self._at = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        return self._at

    def timestamp(self) -> float:
        return self._at.timestamp()

    def advance(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)


class NoScheduler(Scheduler):
    """Forgets what the platform plans: the test itself decides which notice arrives when."""

    def after(self, seconds: float, job: Callable[[], object]) -> None:
        del seconds, job


class Delivered:
    """All that the notifier reads of an answer."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class DirectOutbound(Outbound):
    """Hands a notice to our own function, with the statuses that `web.hooks` would answer."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.wire, engine.clock)
        self.receive: Receive | None = None

    def post(self, kind: str, url: str, body: bytes, headers: Mapping[str, str], **rest: Any) -> Any:
        del kind, url, rest
        if self.receive is None:
            return None
        try:
            self.receive(headers, body)
        except ServiceError as error:
            return Delivered(error.status)
        except Crash:
            # Our process died in the middle: the platform gets no answer.
            return None
        return Delivered(204)


class Counterpart:
    """The platform of one test run. `line_down` counts calls that will not even connect."""

    def __init__(self, credentials: Credentials, seed: int = 0) -> None:
        self.engine = Engine(credentials, Site("http://site.invalid", ""), seed=seed)
        self.clock = HandClock()
        self.engine.clock = self.clock
        self.engine.scheduler = NoScheduler(self.clock)
        self.outbound = DirectOutbound(self.engine)
        self.engine.outbound = self.outbound
        self.platform = PayPlatform(self.engine, lambda _openid: True, seed=seed)
        self.line_down = 0
        self._app = Flask("counterpart")
        self._app.testing = True
        self._app.register_blueprint(pay_blueprint(self.platform))
        self._client = self._app.test_client()

    def fault(self, name: str, place: str) -> None:
        """The next call at this place goes wrong; nothing waits for real."""
        settings = fault_catalogue.find(name, place).args
        self.engine.faults.add(Fault(name, place, args={"seconds": 0.0} if "seconds" in settings else {}))

    def answer(self, adapter: HTTPAdapter, request: requests.PreparedRequest) -> requests.Response:
        """What `HTTPAdapter.send` does, without a socket."""
        if self.line_down:
            self.line_down -= 1
            raise requests.ConnectTimeout("nobody listens")
        parts = urlsplit(request.url or "")
        body = request.body or b""
        answered = self._client.open(
            parts.path,
            method=request.method or "GET",
            query_string=parts.query,
            # What was signed: Flask would add a question mark to an address without a query.
            environ_overrides={"REQUEST_URI": request.path_url},
            headers=[(name, value) for name, value in request.headers.items() if name != "Content-Length"],
            data=body,
        )
        if connection.DROPPED in answered.headers:
            raise requests.ConnectionError("the line was cut")
        return adapter.build_response(
            request,
            HTTPResponse(
                io.BytesIO(answered.get_data()),
                headers=dict(answered.headers),
                status=answered.status_code,
                preload_content=False,
            ),
        )


def connect(counterpart: Counterpart, patch: pytest.MonkeyPatch) -> None:
    """From now on every HTTP call of `requests` is answered by this platform."""

    def send(self: HTTPAdapter, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        return counterpart.answer(self, request)

    patch.setattr(HTTPAdapter, "send", send)
