"""Notices of the network centre."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from models.notice import latest_notices, published_notice
from web import paging
from web.current import services

blueprint = Blueprint("h5_notices", __name__, url_prefix="/h5/notices")

SHOWN = 30


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The newest notices; everybody may read them."""
    here = services()
    with here.reading() as session:
        return render_template("h5/notices.html", notices=latest_notices(session, here.clock(), limit=SHOWN))


@blueprint.get(f"/<int(max={paging.MAX_ID}):notice_id>")
def notice(notice_id: int) -> ResponseReturnValue:
    """One notice, from the moment it is published."""
    here = services()
    with here.reading() as session:
        found = published_notice(session, notice_id, here.clock())
        if found is None:
            raise NotFound
        return render_template("h5/notice.html", notice=found)
