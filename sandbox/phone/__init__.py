"""The phone page: a WeChat to look at and tap on, with the wire log beside it."""

from __future__ import annotations

from sandbox.phone.views import phone_blueprint

__all__ = ["phone_blueprint"]
