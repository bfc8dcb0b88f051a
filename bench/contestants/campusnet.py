"""Our application as production wires it."""

from __future__ import annotations

from flask import Flask

from app import config, wiring
from app.factory import create_app as create
from app.server import web_settings
from bench.scene import Scene

PATH = "/wechat"


def create_app() -> Flask:
    """The real application over the configuration of the measurement."""
    loaded = config.load(Scene.from_environment().config)
    return create(wiring.build(loaded).web, web_settings(loaded))
