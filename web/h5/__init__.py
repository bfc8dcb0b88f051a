"""The pages inside WeChat, one file per page."""

from __future__ import annotations

from web.h5 import alerts, bind, help, logins, look, name, notices, oauth, orders, pay, recharge, usage  # noqa: A004 - a page's name

blueprints = (
    recharge.blueprint,
    name.blueprint,
    pay.blueprint,
    orders.blueprint,
    bind.blueprint,
    usage.blueprint,
    notices.blueprint,
    alerts.blueprint,
    help.blueprint,
    oauth.blueprint,
    look.blueprint,
    logins.blueprint,
)
