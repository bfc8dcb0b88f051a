"""WeRoBot exactly as its documentation deploys it: decorators, RedisStorage, `make_view`, Flask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from flask import Flask
from werobot import WeRoBot
from werobot.contrib.flask import make_view
from werobot.session.redisstorage import RedisStorage

from bench.scene import APP_ID, ENCODING_AES_KEY, KEYWORDS, TOKEN, Scene

PATH = "/robot/"
ANSWER = "账号:2400000000,余额:12.50 元。回复“充值”充网费,回复“套餐”看流量包。"


def create_app() -> Flask:
    """The robot with one filter for each keyword, each answering with a fixed text."""
    scene = Scene.from_environment()
    robot = WeRoBot(token=TOKEN, encoding_aes_key=ENCODING_AES_KEY, app_id=APP_ID)
    robot.config["SESSION_STORAGE"] = RedisStorage(redis.Redis.from_url(scene.redis_url))
    for keyword in KEYWORDS:
        robot.filter(keyword)(_fixed(keyword))
    app = Flask(__name__)
    app.add_url_rule(rule=PATH, endpoint="werobot", view_func=make_view(robot), methods=["GET", "POST"])
    return app


def _fixed(keyword: str) -> Callable[[Any], str]:
    def answer(_message: Any) -> str:
        return f"{keyword}:{ANSWER}"

    return answer
