"""Notices of the network centre."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from models.notice import find_notice, latest_notices
from web.current import services

blueprint = Blueprint("h5_notices", __name__, url_prefix="/h5/notices")

SHOWN = 30


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The newest notices; everybody may read them."""
    here = services()
    with here.reading() as session:
        return render_template("h5/notices.html", notices=latest_notices(session, here.clock(), limit=SHOWN))


@blueprint.get("/<int:notice_id>")
def notice(notice_id: int) -> ResponseReturnValue:
    """One notice, from the moment it is published."""
    here = services()
    with here.reading() as session:
        found = find_notice(session, notice_id)
        if found is None or found.published_at > here.clock():
            raise NotFound
        return render_template("h5/notice.html", notice=found)
