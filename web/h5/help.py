"""Fees, the way a recharge goes, the counter, and whom to ask."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from billing.interface import Offer
from models.errors import ServiceError
from web.current import services

blueprint = Blueprint("h5_help", __name__, url_prefix="/h5")


@blueprint.get("/help")
def page() -> ResponseReturnValue:
    """Open to everybody, and open when billing is away."""
    return render_template("h5/help.html", offers=_offers(), rules=services().rules)


def _offers() -> list[Offer]:
    try:
        return services().billing.catalogue()
    except ServiceError:
        return []
