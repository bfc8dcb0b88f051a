"""One running sandbox: the world, its Flask application, its server on loopback."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from flask import Flask, Response

from sandbox import pages
from sandbox.cas_views import cas_blueprint
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.http import HttpServer
from sandbox.oa.api import api_blueprint
from sandbox.oa.oauth_views import oauth_blueprint
from sandbox.oidc_views import oidc_blueprint
from sandbox.pay import pay_blueprint
from sandbox.pay.refunds_api import go_on
from sandbox.phone import phone_blueprint
from sandbox.sim_api import sim_blueprint
from sandbox.students import DEFAULT, Identity
from sandbox.webview import webview_blueprint
from sandbox.world import World


class Sandbox(World):
    """A world on one loopback port; use it with `with`.

    Args: those of World; `port` 0 takes a free one, which `url` then shows.
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
        super().__init__(
            credentials, site, seed=seed, students=students, shared_clock=shared_clock, keep=keep
        )
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


def create_app(world: World) -> Flask:
    """Every blueprint of the sandbox; the webview's catch-all comes last."""
    app = Flask("sandbox", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(api_blueprint(world.oa))
    app.register_blueprint(oauth_blueprint(world.oa))
    app.register_blueprint(pay_blueprint(world.pay))
    app.register_blueprint(cas_blueprint(world.engine, world.cas, world.students))
    app.register_blueprint(oidc_blueprint(world.engine, world.oidc, world.cas, world.students))
    app.register_blueprint(sim_blueprint(world))
    app.register_blueprint(phone_blueprint(world))
    app.register_blueprint(webview_blueprint(world.webview))

    @app.get(pages.STYLE_PATH)
    def page_style() -> Response:
        return pages.style()

    return app
