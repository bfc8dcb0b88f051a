"""Who paid into an account, as its owner may read it: never more than a masked name."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import ServiceError
from models.order import orders_numbered
from models.person import bound_accounts
from payments.services import Services

SELF = "本人（微信支付）"
COUNTER = "线下柜台"
SOMEBODY = "他人代付（微信支付）"
NAMED = "{name} 代付（微信支付）"


def payers_of(services: Services, account_no: str, order_nos: Sequence[str]) -> dict[str, str]:
    """For each of these orders that paid into this account: the payer in a few words.

    A payer is known by the account that they have bound today; whoever has none is somebody.
    """
    with services.reading() as session:
        orders = orders_numbered(session, account_no, order_nos)
        by_openid = bound_accounts(session, {order.payer_openid for order in orders})
        found = [(order.order_no, order.source, by_openid.get(order.payer_openid)) for order in orders]
    names = {payer: _words(services, account_no, payer) for _, source, payer in found if source == "wechat"}
    return {order_no: names[payer] if source == "wechat" else COUNTER for order_no, source, payer in found}


def _words(services: Services, account_no: str, payer: str | None) -> str:
    if payer == account_no:
        return SELF
    if payer is None:
        return SOMEBODY
    try:
        return NAMED.format(name=services.billing.find_account(payer).masked_name)
    except ServiceError:
        # The bill opens without a name when billing does not give one.
        return SOMEBODY
