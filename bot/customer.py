"""Customer messages: what we say without being asked, within the platform's quota."""

from __future__ import annotations

from enum import StrEnum

from bot.client import WechatClient
from bot.errors import QuotaExhausted, UserUnreachable
from bot.render import shorten


class Delivery(StrEnum):
    """What became of a message.

    UNREACHABLE: blocked us or wrote too long ago; EXHAUSTED: no message is left for now; REFUSED: the
    template is wrong; UNKNOWN: perhaps sent, and not to be repeated.
    """

    SENT = "SENT"
    SENT_BY_TEMPLATE = "SENT_BY_TEMPLATE"
    UNREACHABLE = "UNREACHABLE"
    EXHAUSTED = "EXHAUSTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


def send_text(client: WechatClient, openid: str, text: str) -> Delivery:
    """Send a text, links and tappable words included, to one person.

    Raises:
        Unknown: it may have been sent; a repetition may be a second message.
        Unavailable: certainly not sent.
        ApiRefused: certainly not sent, and somebody has to look.
    """
    try:
        client.api.message.send_text(openid, shorten(text))
    except UserUnreachable:
        return Delivery.UNREACHABLE
    except QuotaExhausted:
        return Delivery.EXHAUSTED
    return Delivery.SENT
