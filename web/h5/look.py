"""Colours and large type, kept in a cookie that holds nothing else."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from web import targets
from web.current import services
from web.rendering import LOOK_COOKIE, LOOKS

blueprint = Blueprint("h5_look", __name__, url_prefix="/h5")

KEEP_S = 365 * 24 * 3600


@blueprint.get("/look")
def page() -> ResponseReturnValue:
    """The choices, each shown in words."""
    return render_template("h5/look.html", next=targets.local(request.args.get("next"), "/h5/recharge"))


@blueprint.post("/look")
def choose() -> ResponseReturnValue:
    """Keep the choice for a year and go back."""
    chosen = request.form.get("look", "auto")
    response = redirect(targets.local(request.form.get("next"), "/h5/recharge"), 303)
    response.set_cookie(
        LOOK_COOKIE,
        chosen if chosen in LOOKS else "auto",
        max_age=KEEP_S,
        httponly=True,
        samesite="Lax",
        secure=services().site.base_url.startswith("https://"),
    )
    return response
