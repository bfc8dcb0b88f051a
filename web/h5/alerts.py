"""Alerts: on or off, and below how much the balance is low."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.errors import AmountInvalid
from models.money import FEN_PER_YUAN
from payments import alerts
from web.current import services
from web.guards import openid_first

blueprint = Blueprint("h5_alerts", __name__, url_prefix="/h5/alerts")

DIGITS_MAX = 3


@blueprint.get("")
@openid_first
def index(openid: str) -> ResponseReturnValue:
    """What the person has chosen."""
    here = services()
    with here.reading() as session:
        choice = alerts.choice_of(session, openid)
    return render_template("h5/alerts.html", choice=choice, saved="saved" in request.args)


@blueprint.post("")
@openid_first
def save(openid: str) -> ResponseReturnValue:
    """Save both. Raises: AmountInvalid."""
    threshold = request.form.get("low_balance_yuan", "")
    if not (threshold.isascii() and threshold.isdecimal() and len(threshold) <= DIGITS_MAX):
        raise AmountInvalid("余额提醒请填 0 到 999 之间的整数（元）")
    amount_fen, wanted = int(threshold) * FEN_PER_YUAN, "wanted" in request.form
    alerts.choose(services(), openid, wanted=wanted, low_balance_fen=amount_fen)
    return redirect("/h5/alerts?saved=1", 303)
