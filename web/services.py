"""What the pages need beyond the journeys' services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.callback import Callback
from bot.limits import RateLimiter
from bot.oauth import OAuth
from identity.base import UnifiedIdentity
from models.values.outbound_gate import OutboundGate
from models.values.security_log import SecurityLog
from payments.services import Services
from web.captcha import Captchas


@dataclass(frozen=True, kw_only=True)
class WebServices(Services):
    """`notify` takes the headers and the raw body of a WeChat Pay callback and returns after the commit.

    `accounting` takes the same of a batch of accounting records and returns what became of each.
    """

    callback: Callback
    oauth: OAuth
    identity: UnifiedIdentity
    captchas: Captchas
    limiter: RateLimiter
    notify: Callable[[Mapping[str, str], bytes], None]
    accounting: Callable[[Mapping[str, str], bytes], Mapping[str, Any]]
    security: SecurityLog
    # Calls that strangers can trigger: WeChat's page login, the unified identity.
    oauth_gate: OutboundGate
    identity_gate: OutboundGate
