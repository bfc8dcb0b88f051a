"""A captcha as a picture and as speech, for the login that it was made for."""

from __future__ import annotations

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from web import captcha, signin
from web.current import services
from web.guards import account_first
from web.rates import slow_down

blueprint = Blueprint("captcha", __name__, url_prefix="/captcha")

# Drawing takes milliseconds, speaking a third of a second.
PICTURES, SPEECHES, WINDOW_S = 120, 30, 600


@blueprint.get("/<mark>.png")
@account_first
def picture(account_no: str, mark: str) -> ResponseReturnValue:
    """To be seen."""
    slow_down("captcha-picture", account_no, limit=PICTURES, window_s=WINDOW_S)
    return Response(captcha.picture(_text(mark)), mimetype="image/png")


@blueprint.get("/<mark>.wav")
@account_first
def speech(account_no: str, mark: str) -> ResponseReturnValue:
    """To be heard."""
    slow_down("captcha-speech", account_no, limit=SPEECHES, window_s=WINDOW_S)
    return Response(captcha.speech(_text(mark)), mimetype="audio/wav")


def _text(mark: str) -> str:
    text = services().captchas.text_of(signin.portal_login(), mark)
    if text is None:
        raise NotFound
    return text
