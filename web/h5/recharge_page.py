"""What the recharge page shows, gathered from the journeys."""

from __future__ import annotations

from dataclasses import dataclass

from billing.interface import AccountName, Balance, Offer
from models.errors import NoSuchAccount, Refused, ServiceError
from models.money import BYTES_PER_GB, yuan_short
from models.site import RechargeRules
from payments import binding, orders
from payments.amount import least_amount
from payments.services import Services
from payments.views import OrderView
from web import then_package
from web.h5 import accounts
from web.h5.recharge_form import OTHER, RechargeForm
from web.then_package import Then

PAYEES = 3
DEFAULT_AMOUNT = "20"


@dataclass(frozen=True)
class Choice:
    """One amount of the grid; `buys` says what it pays for, empty where nothing fits."""

    yuan: str
    buys: str


@dataclass(frozen=True)
class RechargePage:
    """`balance` is None when nothing is bound or billing does not answer (`billing_ok` tells which).

    `then` is the package that the money is for; `then_refused` says why there is none, where one was wished.
    """

    bound: str | None
    balance: Balance | None
    billing_ok: bool
    payee: AccountName | None
    payees: list[OrderView]
    choices: list[Choice]
    chosen: str
    form: RechargeForm
    then: Then | None
    then_refused: Refused | None


def recharge_page(services: Services, *, openid: str, form: RechargeForm) -> RechargePage:
    """The page for this reader with what was filled in so far."""
    bound = binding.bound_account(services, openid)
    past = orders.history(services, openid=openid, limit=20)
    balance, offers, billing_ok = _billing(services, bound)
    then, then_refused = _then(services, form, bound)
    choices = _choices(services.rules, offers, then)
    return RechargePage(
        bound=bound,
        balance=balance,
        billing_ok=billing_ok,
        payee=_payee(openid, form, bound),
        payees=_payees(past, bound),
        choices=choices,
        chosen=_chosen(form, choices, past, then),
        form=form,
        then=then,
        then_refused=then_refused,
    )


def _billing(services: Services, bound: str | None) -> tuple[Balance | None, list[Offer], bool]:
    """The page must open, and warn, even when billing is away."""
    try:
        balance = services.billing.balance(bound) if bound else None
        return balance, services.billing.catalogue(bound), True
    except NoSuchAccount:
        return None, [], True
    except ServiceError:
        return None, [], False


def _then(services: Services, form: RechargeForm, bound: str | None) -> tuple[Then | None, Refused | None]:
    """The wished package, or what speaks against it; neither when billing is away."""
    if not form.package:
        return None, None
    try:
        typed = accounts.typed(form.account)
        if bound is not None and (not typed or accounts.same(typed, bound)):
            return then_package.for_owner(services, bound, form.package), None
        return then_package.for_others(services, form.package), None
    except Refused as refused:
        return None, refused
    except ServiceError:
        return None, None


def _choices(rules: RechargeRules, offers: list[Offer], then: Then | None) -> list[Choice]:
    """The presets, and the cheapest package for those who need just that; for a package what is enough.

    A package may cost what cannot be paid in one sum: the smallest recharge that is enough stands for it.
    """
    if then is not None:
        more = [fen for fen in rules.presets_fen if then.least_fen < fen <= rules.max_fen]
        return [
            Choice(yuan_short(then.least_fen), "正好换购"),
            *(Choice(yuan_short(fen), "") for fen in more),
        ]
    by_sum = {least_amount(offer.price_fen, rules): offer for offer in reversed(offers)}
    amounts = sorted({*rules.presets_fen, *sorted(by_sum)[:1]})
    return [
        Choice(yuan_short(fen), _buys(by_sum.get(fen)))
        for fen in amounts
        if rules.min_fen <= fen <= rules.max_fen
    ]


def _buys(offer: Offer | None) -> str:
    return "" if offer is None else f"可换 {offer.quota_bytes // BYTES_PER_GB} GB"


def _chosen(form: RechargeForm, choices: list[Choice], past: list[OrderView], then: Then | None) -> str:
    """What was filled in, else what the package needs, the amount of last time, a usual one."""
    offered = [choice.yuan for choice in choices]
    if form.amount in (*offered, OTHER):
        return form.amount
    if form.amount_other:
        return OTHER
    if then is not None:
        return choices[0].yuan
    last = [yuan_short(order.amount_fen) for order in past[:1]]
    return next((wish for wish in (*last, DEFAULT_AMOUNT) if wish in offered), OTHER)


def _payee(openid: str, form: RechargeForm, bound: str | None) -> AccountName | None:
    """The name behind a typed account, to be confirmed by eye; None while there is nothing to confirm."""
    try:
        account_no = accounts.typed(form.account)
        if not account_no or account_no == bound:
            return None
        return accounts.named(openid, account_no)
    except (Refused, ServiceError):
        return None


def _payees(past: list[OrderView], bound: str | None) -> list[OrderView]:
    """The last accounts that this reader paid for, without the own one."""
    latest: dict[str, OrderView] = {}
    for order in past:
        if order.account_no != bound:
            latest.setdefault(order.account_no, order)
    return list(latest.values())[:PAYEES]
