"""What has to wait while a restored database is being recovered."""

from __future__ import annotations

from models.recovery import check_may_pay_out
from payments.services import Services


def check_may_spend(services: Services) -> None:
    """Return when balances are complete, so that they may be spent. Raises: UnderMaintenance."""
    with services.reading() as session:
        check_may_pay_out(session)
