"""One running sandbox: the world, its Flask application, its server on loopback."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from flask import Flask, Response

from sandbox import pages
from sandbox.cas import Cas
from sandbox.cas_views import cas_blueprint
from sandbox.credentials import Credentials
from sandbox.engine import Engine, Site
from sandbox.http import HttpServer
from sandbox.oa.api import api_blueprint
from sandbox.oa.oauth_views import oauth_blueprint
from sandbox.oa.platform import OaPlatform
from sandbox.oidc import Oidc
from sandbox.oidc_views import oidc_blueprint
from sandbox.pay import PaidOrder, PayPlatform, pay_blueprint
from sandbox.pay.keep import Keep
from sandbox.pay.refunds_api import go_on
from sandbox.phone import phone_blueprint
from sandbox.sim_api import sim_blueprint
from sandbox.students import DEFAULT, Identity, Student, Students
from sandbox.webview import WebView, webview_blueprint


class Sandbox:
    """WeChat, WeChat Pay and the campus identity on one loopback port; use it with `with`.

    Args:
        site: where the site under test lives; `set_site` changes it later.
        port: 0 takes a free one, which `url` then shows.
        shared_clock: whether the site runs on `engine.clock`, too (see Engine).
        keep: the file in which payments and refunds outlive the process.
    """

    def __init__(
        self,
        credentials: Credentials,
        site: Site,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        students: Iterable[Identity] = DEFAULT,
        shared_clock: bool = True,
        keep: Path | None = None,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the sandbox listens on loopback addresses only")
        self._seed = seed
        self.engine = Engine(credentials, site, seed=seed, shared_clock=shared_clock)
        self.students = Students(credentials.app_id, students)
        self.oa = OaPlatform(self.engine, self.students)
        self.pay = PayPlatform(self.engine, self.oa.person_exists, seed=seed, keep=Keep(keep))
        self.pay.on_paid = self._paid
        self.cas = Cas(self.engine, self.students)
        self.oidc = Oidc(self.engine, self.cas)
        self.webview = WebView(self.engine, self.students)
        self.app = create_app(self)
        self._server = HttpServer(host, port, self.app)
        self._thread = threading.Thread(target=self._server.run, name="sandbox-http", daemon=True)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    def start(self) -> Self:
        """Serve in a background thread; call once."""
        self.pay.recover()
        go_on(self.pay)
        self.engine.scheduler.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server and every connection."""
        self.engine.scheduler.stop()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close()
        self.engine.outbound.close()
        self.pay.close()
        self.webview.forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def set_site(self, site: Site) -> None:
        """Point the platform at another site, as the consoles do."""
        self.engine.site = site

    def set_message_mode(self, mode: str) -> None:
        """Switch between "safe" and "plain" pushes."""
        self.engine.site = replace(self.engine.site, message_mode=mode)

    def enrol(self, identity: Identity) -> Student:
        """One more person with a phone; ValueError when the id or account is taken."""
        with self.engine.lock:
            student = self.students.add(identity)
            self.oa.chat.watch(student.openid)
        return student

    def reset(self) -> None:
        """Back to the start in everything but the clock, which only moves forward."""
        self.engine.scheduler.clear()
        self.engine.faults.clear(self._seed)
        with self.engine.lock:
            self.students.reset()
            self.oa.reset()
        self.pay.reset()
        self.cas.reset()
        self.oidc.reset()
        self.webview.forget()
        self.engine.wire.clear()

    def _paid(self, openid: str, order: PaidOrder) -> None:
        self.oa.receipt(
            openid,
            {
                "amount_fen": order.amount_fen,
                "description": order.description,
                "merchant": order.merchant,
                "transaction_id": order.transaction_id,
                "out_trade_no": order.out_trade_no,
            },
        )


def create_app(sandbox: Sandbox) -> Flask:
    """Every blueprint of the sandbox; the webview's catch-all comes last."""
    app = Flask("sandbox", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(api_blueprint(sandbox.oa))
    app.register_blueprint(oauth_blueprint(sandbox.oa))
    app.register_blueprint(pay_blueprint(sandbox.pay))
    app.register_blueprint(cas_blueprint(sandbox.engine, sandbox.cas, sandbox.students))
    app.register_blueprint(oidc_blueprint(sandbox.engine, sandbox.oidc, sandbox.cas, sandbox.students))
    app.register_blueprint(sim_blueprint(sandbox))
    app.register_blueprint(phone_blueprint(sandbox))
    app.register_blueprint(webview_blueprint(sandbox.webview))

    @app.get(pages.STYLE_PATH)
    def page_style() -> Response:
        return pages.style()

    return app
