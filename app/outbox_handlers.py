"""Who delivers which kind of outbox item."""

from __future__ import annotations

from functools import partial

from app.config import Config
from app.deliveries import deliver_alert, deliver_message, deliver_owner_notice
from app.worker import Deliver
from bot.notices import Notices
from payments import alerts, credit, notify, repairs, settle, swap
from payments.adjustments import approval as adjustments
from payments.adjustments import delivery as adjustment_delivery
from payments.binding import OWNER_NOTICE
from payments.payouts import delivery as payout_delivery
from payments.reconcile.billing import repair as billing_repair
from payments.refunds import delivery as refund_delivery


def outbox_handlers(config: Config, notices: Notices) -> dict[str, Deliver]:
    """Return the handler of every kind of outbox item; `models.outbox.WORK` says which lane it waits in."""
    return {
        "settle": settle.deliver,
        "credit": credit.deliver,
        swap.KIND: swap.deliver,
        "refund": refund_delivery.deliver,
        "payout": payout_delivery.deliver,
        repairs.KIND: repairs.deliver,
        billing_repair.KIND: billing_repair.deliver,
        adjustments.KIND: adjustment_delivery.deliver,
        "inbox": notify.deliver,
        "message": partial(deliver_message, notices),
        alerts.JOB: partial(deliver_alert, notices),
        OWNER_NOTICE: partial(deliver_owner_notice, config.identity.owner_notice_command),
    }
