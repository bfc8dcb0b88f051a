"""公告 inside the portal: the same texts as on the phone."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from models.notice import latest_notices, published_notice
from web import paging
from web.current import services
from web.guards import account_first

blueprint = Blueprint("notices", __name__, url_prefix="/notices")

SHOWN = 30


@blueprint.get("")
@account_first
def index(account_no: str) -> ResponseReturnValue:
    """The newest notices."""
    del account_no
    here = services()
    with here.reading() as session:
        found = latest_notices(session, here.clock(), limit=SHOWN)
        return render_template("portal/notices.html", notices=found)


@blueprint.get(f"/<int(max={paging.MAX_ID}):notice_id>")
@account_first
def notice(account_no: str, notice_id: int) -> ResponseReturnValue:
    """One notice, from the moment it is published."""
    del account_no
    here = services()
    with here.reading() as session:
        found = published_notice(session, notice_id, here.clock())
        if found is None:
            raise NotFound
        return render_template("portal/notice.html", notice=found)
