"""毕业退费: what would come back and how, the owner's request, and what becomes of it."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.errors import IllegalTransition, Refused
from payments.payouts import approval, plan
from web import signin
from web.current import services
from web.guards import account_first, when_able
from web.rates import slow_down

blueprint = Blueprint("payout", __name__)

HOME = "/self/payout"
SHOWN = 10
TRIES, WINDOW_S = 10, 600


@blueprint.get("/payout")
@when_able("reverse", "withdraw")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """The formula, the form, and the requests there were."""
    return _page(account_no)


@blueprint.post("/payout")
@when_able("reverse", "withdraw")
@account_first
def ask(account_no: str) -> ResponseReturnValue:
    """Ask for all of it, soon after the password was typed; a form sent twice finds the first request."""
    slow_down("payout", account_no, limit=TRIES, window_s=WINDOW_S)
    try:
        signin.require_fresh()
        approval.ask_as_owner(
            services(),
            account_no=account_no,
            payee=request.form.get("payee", ""),
            bank_name=request.form.get("bank_name", ""),
            bank_account=request.form.get("bank_account", ""),
        )
    except IllegalTransition:
        # One waits already: the page shows it.
        pass
    except Refused as refused:
        return _page(account_no, refused)
    return redirect(HOME, 303)


@blueprint.post("/payout/<payout_no>/withdraw")
@when_able("reverse", "withdraw")
@account_first
def withdraw(account_no: str, payout_no: str) -> ResponseReturnValue:
    """Take a request back that nobody has approved yet."""
    approval.withdraw(services(), payout_no=payout_no, account_no=account_no)
    return redirect(HOME, 303)


def _page(account_no: str, problem: Refused | None = None) -> ResponseReturnValue:
    here = services()
    payouts = approval.of_account(here, account_no, limit=SHOWN)
    shown = render_template(
        "portal/payout.html",
        plan=plan.preview(here, account_no),
        masked_name=here.billing.find_account(account_no).masked_name,
        payouts=payouts,
        waiting=any(payout.status == "REQUESTED" for payout in payouts),
        problem=problem,
        fresh_until=signin.fresh_until(),
        # The card number is never sent back.
        typed={name: request.form.get(name, "") for name in ("payee", "bank_name")},
    )
    return shown, problem.status if problem else 200
