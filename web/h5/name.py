"""Whose account is this? Only the masked name is told."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from web.guards import openid_first
from web.h5 import accounts

blueprint = Blueprint("h5_name", __name__, url_prefix="/h5")


@blueprint.get("/name")
@openid_first
def name(openid: str) -> ResponseReturnValue:
    """The masked name as JSON, for the check before paying for somebody else."""
    account = accounts.named(openid, accounts.typed(request.args.get("account", "")))
    return jsonify(account=account.account_no, name=account.masked_name)
