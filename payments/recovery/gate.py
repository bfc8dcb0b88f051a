"""What has to wait while a restored database is being recovered."""

from __future__ import annotations

from models.recovery import check_not_recovering
from payments.services import Services


def check_open(services: Services) -> None:
    """Return when orders and purchases may be made. Raises: UnderMaintenance."""
    with services.reading() as session:
        check_not_recovering(session)
