"""The web application: blueprints, error tables, headers; nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from web import addresses, errors, h5, headers, hooks, hosts, portal, public, rates
from web.entrance import PushEntrance
from web.request_ids import RequestIds
from web.services import WebServices

BODY_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True)
class WebSettings:
    """What Flask itself must know.

    `trusted_proxies` is how many proxies stand before us; `old_secret_keys` still verify cookies while a
    key is rotated; `trusted_hosts` are the names under which pages answer, all of them if empty.
    """

    secret_key: str
    secure_cookies: bool
    trusted_proxies: int
    old_secret_keys: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()


def create_app(services: WebServices, settings: WebSettings) -> Flask:
    """One application; tests and production call this with their services."""
    app = Flask("web", static_folder="static", template_folder="templates")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=list(settings.old_secret_keys),
        # A browser takes a __Host- cookie from this very host only, over https, for the whole site.
        SESSION_COOKIE_NAME="__Host-campusnet" if settings.secure_cookies else "campusnet",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        MAX_CONTENT_LENGTH=BODY_LIMIT_BYTES,
        WTF_CSRF_TIME_LIMIT=6 * 3600,
    )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["campusnet"] = services
    csrf = CSRFProtect(app)
    for blueprint in (hooks.blueprint, public.blueprint, portal.blueprint, *h5.blueprints):
        app.register_blueprint(blueprint)
    csrf.exempt(hooks.blueprint)
    csrf.exempt(portal.single_logout)
    hosts.register(app, settings.trusted_hosts)
    rates.register(app)
    addresses.register(app)
    errors.register(app)
    headers.register(app)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies
        )
    app.wsgi_app = PushEntrance(  # type: ignore[method-assign]
        app.wsgi_app, services, BODY_LIMIT_BYTES, trusted_proxies=settings.trusted_proxies
    )
    app.wsgi_app = RequestIds(  # type: ignore[method-assign]
        app.wsgi_app, trusted=settings.trusted_proxies > 0
    )
    return app
