"""绑定记录: which WeChat users have bound the account, and ending a binding."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.values.security_log import SecurityEvent
from payments import binding
from web import signin
from web.current import services
from web.guards import account_first

blueprint = Blueprint("bindings", __name__, url_prefix="/bindings")


@blueprint.get("")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """List current and earlier bindings, newest first."""
    return render_template(
        "portal/bindings.html",
        records=binding.records_of(services(), account_no),
        undone="undone" in request.args,
    )


@blueprint.post("/remove")
@account_first
def remove(account_no: str) -> ResponseReturnValue:
    """End the binding that the form names."""
    binding.unbind_from_account(services(), account_no=account_no, binding_id=request.form.get("id", ""))
    signin.record(SecurityEvent.UNBOUND)
    return redirect("/self/bindings?undone=1", 303)
