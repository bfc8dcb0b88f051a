"""What a handler has at hand: the services of every journey, and the rate limiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bot.context import Context
from bot.limits import RateLimiter
from payments.services import Services


@dataclass(frozen=True, kw_only=True)
class HandlerServices(Services):
    """`limiter` keeps curious people from trying out account numbers."""

    limiter: RateLimiter


Ctx: TypeAlias = Context[HandlerServices]
