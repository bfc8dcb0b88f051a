"""Recharge and swap, as pages offer it: a package, and how much has to be paid so that it can be had."""

from __future__ import annotations

from dataclasses import dataclass

from billing.interface import Offer
from models.errors import BalanceTooLow, PackageNotOffered, Refused
from payments import swap
from payments.amount import check_amount, least_amount
from payments.services import Services


class NothingMissing(Refused):
    """The balance pays for the package already."""

    status = 409
    code = "E-ENOUGH"

    def __init__(self) -> None:
        super().__init__("账户余额已够，可以直接换购")


@dataclass(frozen=True)
class Then:
    """`missing_fen` is what the account lacks, `least_fen` the smallest recharge that is enough."""

    offer: Offer
    missing_fen: int
    least_fen: int


def for_owner(services: Services, account_no: str, code: str) -> Then:
    """The package, with what the owner has to add to the balance.

    Raises: NothingMissing; AmountOutOfRange - no single recharge is enough; Refused in the kinds of
        `BillingBackend.exchange`; Unavailable.
    """
    offer = swap.find_wished(services, account_no, code)
    try:
        services.billing.preview_exchange(account_no, code)
    except BalanceTooLow:
        # Billing looks at the money last: nothing else speaks against it.
        return _then(services, offer, offer.price_fen - services.billing.balance(account_no).balance_fen)
    raise NothingMissing


def for_others(services: Services, code: str) -> Then:
    """The package, paid for in full by somebody who may not know what is on the account.

    Only what is for everybody: a special would tell which group the account belongs to.
    Raises: PackageNotOffered; AmountOutOfRange - no single recharge is enough; Unavailable.
    """
    can = services.billing.capabilities().exchange
    offer = next((offer for offer in services.billing.catalogue() if can and offer.code == code), None)
    if offer is None:
        raise PackageNotOffered
    return _then(services, offer, offer.price_fen)


def _then(services: Services, offer: Offer, missing_fen: int) -> Then:
    least_fen = least_amount(missing_fen, services.rules)
    check_amount(least_fen, services.rules)
    return Then(offer, missing_fen, least_fen)
