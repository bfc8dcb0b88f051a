"""Outbox work that needs both the payment side and the bot."""

from __future__ import annotations

from bot import customer
from bot.client import WechatClient
from payments import alerts, outbox
from payments.outcome import Done, Outcome
from payments.services import Services


def deliver_message(wechat: WechatClient, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `message`: one customer message, at most a few times more than once.

    A person who cannot be reached is no failure: the page shows the same, and the item keeps why.
    Raises: Unknown, Unavailable - the worker tries again.
    """
    del services
    return Done(customer.send_text(wechat, str(held.payload["openid"]), str(held.payload["text"])))


def deliver_alert(wechat: WechatClient, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `alert`: as `message`, unless the person has stopped alerts or left the account.

    Raises: Unknown, Unavailable - the worker tries again.
    """
    openid = str(held.payload["openid"])
    with services.reading() as session:
        wanted = alerts.still_wanted(session, openid, str(held.payload["account_no"]))
    return deliver_message(wechat, services, held) if wanted else Done("not wanted any more")
