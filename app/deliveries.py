"""Outbox work that needs both the payment side and the bot."""

from __future__ import annotations

from bot import customer
from bot.client import WechatClient
from payments import outbox
from payments.outcome import Done, Outcome
from payments.services import Services


def deliver_message(wechat: WechatClient, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `message`: one customer message, at most a few times more than once.

    A person who cannot be reached is no failure: the page shows the same, and the item keeps why.
    Raises: Unknown, Unavailable - the worker tries again.
    """
    del services
    return Done(customer.send_text(wechat, str(held.payload["openid"]), str(held.payload["text"])))
