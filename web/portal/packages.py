"""换购时长/流量包: what is on sale, what one would have, and the swap itself, once for each form."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from billing.interface import ExchangePreview
from bot.redis_gate import RedisDown
from models.errors import CaptchaWrong, PageExpired, PriceChanged, Refused, Unknown
from web import signin
from web.current import services
from web.guards import account_first, in_wechat, slow_down, when_able
from web.portal import ticket as tickets
from web.portal.ticket import Ticket

blueprint = Blueprint("packages", __name__)

# Wrong captchas count, right ones too: one swap needs one.
TRIES, WINDOW_S = 20, 600


@dataclass(frozen=True)
class Problem:
    """Why the form is shown again; `field` is the input to be mended, if it is one."""

    code: str
    text: str
    status: int
    field: str = ""


CAPTCHA_AWAY = Problem("E-BUSY", "验证码暂时无法使用，没有扣款，请稍后再试", RedisDown.status)


@blueprint.get("/packages")
@when_able("exchange")
@account_first
def catalogue(account_no: str) -> ResponseReturnValue:
    """Specials first, and whether the rule lets one swap now."""
    here = services()
    return render_template(
        "portal/packages.html",
        balance=here.billing.balance(account_no),
        offers=here.billing.catalogue(account_no),
        in_wechat=in_wechat(),
    )


@blueprint.get("/packages/<code>")
@when_able("exchange")
@account_first
def preview(account_no: str, code: str) -> ResponseReturnValue:
    """What the account would have afterwards, with a captcha; or why it cannot be."""
    return _form(account_no, code)


@blueprint.post("/packages/<code>")
@when_able("exchange")
@account_first
def swap(account_no: str, code: str) -> ResponseReturnValue:
    """Swap, unless this form has done it already."""
    text = request.form.get("ticket", "")
    ticket = tickets.read(text, account_no, code)
    try:
        if services().billing.find_exchange(ticket.account_no, ticket.key) is None:
            _swap(ticket)
    except CaptchaWrong as wrong:
        return _form(account_no, code, text, Problem(wrong.code, wrong.text, wrong.status, "captcha"))
    except PriceChanged as changed:
        return _form(account_no, code, problem=Problem(changed.code, changed.text, changed.status))
    except RedisDown:
        return _form(account_no, code, text, CAPTCHA_AWAY)
    except Refused as refused:
        return _refuse(refused, code)
    except Unknown:
        # The page of the result asks again, as often as it is opened.
        pass
    return redirect(f"/self/swaps/{ticket.key}", 303)


@blueprint.get("/swaps/<key>")
@when_able("exchange")
@account_first
def done(account_no: str, key: str) -> ResponseReturnValue:
    """A swap that was made, and what is there now; or that there is no such swap (yet)."""
    here = services()
    receipt = here.billing.find_exchange(account_no, key)
    if receipt is None or receipt.account_no != account_no:
        return render_template("portal/swap_missing.html"), NotFound.code
    return render_template("portal/swapped.html", receipt=receipt, balance=here.billing.balance(account_no))


def _swap(ticket: Ticket) -> None:
    slow_down("swap", ticket.account_no, limit=TRIES, window_s=WINDOW_S)
    if not ticket.fresh:
        raise PageExpired
    here = services()
    here.captchas.redeem(
        signin.portal_login(),
        request.form.get("captcha_mark", ""),
        request.form.get("captcha", ""),
        purpose=ticket.key,
    )
    here.billing.exchange(ticket.account_no, ticket.code, key=ticket.key, price_fen=ticket.price_fen)


def _form(
    account_no: str, code: str, ticket: str | None = None, problem: Problem | None = None
) -> ResponseReturnValue:
    here = services()
    try:
        shown = here.billing.preview_exchange(account_no, code)
    except Refused as refused:
        return _refuse(refused, code)
    mark = _captcha()
    if mark is None:
        problem = CAPTCHA_AWAY
    page = render_template(
        "portal/swap.html",
        preview=shown,
        ticket=ticket or _ticket(account_no, shown),
        mark=mark,
        problem=problem,
    )
    return page, problem.status if problem else 200


def _ticket(account_no: str, shown: ExchangePreview) -> str:
    return tickets.mint(account_no, shown.offer.code, shown.offer.price_fen)


def _captcha() -> str | None:
    try:
        return services().captchas.issue(signin.portal_login())
    except RedisDown:
        return None


def _refuse(refused: Refused, code: str) -> ResponseReturnValue:
    return render_template("portal/refused.html", refused=refused, code=code), refused.status
