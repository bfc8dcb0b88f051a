"""The pages on a real port with readers of every kind, for tests in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Browser, BrowserContext, Page

from models.people.login_session import SubjectKind
from models.refund import RefundStatus
from payments import orders
from payments.views import OrderView
from tests.browser_rig import errors_of
from tests.listening import listen
from tests.money_back import hear, send_back
from tests.web.world import NOW, OPENID, OTHER, OWN, STRANGER, WECHAT_UA, World

CAMPUS = "10.70.1.23"


class BrowserSite:
    """A world, listening; one order in each state that a page can show."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.on_campus = False
        inner = world.app.wsgi_app

        def placed(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            environ["REMOTE_ADDR"] = CAMPUS if self.on_campus else "203.0.113.7"
            return inner(environ, start)

        world.app.wsgi_app = placed  # type: ignore[method-assign,assignment]
        self.server = listen(world.app)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=5)

    def cookies(self, openid: str, look: str) -> list[dict[str, Any]]:
        """A reader who is logged in everywhere and has chosen a look."""
        with self.world.app.app_context():
            signer = SecureCookieSessionInterface().get_signing_serializer(self.world.app)
        assert signer is not None
        session = {
            "wechat": self.world.login(SubjectKind.WECHAT, openid),
            "portal": self.world.login(SubjectKind.PORTAL, OWN, fresh=True),
        }
        return [
            {"name": "campusnet", "value": str(signer.dumps(session)), "url": self.origin},
            {"name": "look", "value": look, "url": self.origin},
        ]

    @contextmanager
    def phone(
        self, browser: Browser, *, openid: str | None = OPENID, look: str = "auto", **options: Any
    ) -> Iterator[tuple[BrowserContext, Page]]:
        """A phone with WeChat; fails at the end when a page logged an error (a CSP violation, say)."""
        phone: dict[str, Any] = {
            "viewport": {"width": 320, "height": 667}, "is_mobile": True, "has_touch": True,
            "locale": "zh-CN", "user_agent": WECHAT_UA,
        }  # fmt: skip
        context = browser.new_context(**(phone | options))
        if openid is not None:
            context.add_cookies(self.cookies(openid, look))  # type: ignore[arg-type]
        page = context.new_page()
        errors = errors_of(page)
        yield context, page
        context.close()
        # Chromium logs each failed load; the pages that show a failure are such loads.
        assert [error for error in errors if "Failed to load resource" not in error] == []


def every_page(world: World) -> dict[str, str]:
    """The address of each page in each state, by a name."""
    world.bind()
    by_state = _orders(world)
    notice = world.notice("国庆期间网络维护通知", "各位同学:\n\n10月1日 0:00-6:00 网络可能短时中断。")
    shown = {f"order_{state}": f"/h5/orders/{order.order_no}" for state, order in by_state.items()}
    return (
        shown
        | {
            "recharge": "/h5/recharge",
            "recharge_for_other": f"/h5/recharge?account={OTHER}&amount=50",
            "recharge_then_package": f"/h5/recharge?account={OTHER}&package=P30",
            "recharge_when_the_balance_is_enough": "/h5/recharge?package=P05",
            "recharge_custom": "/h5/recharge?amount=other",
            "pay": f"/h5/pay/{by_state['unpaid'].order_no}",
            "order_confirming": f"/h5/orders/{by_state['unpaid'].order_no}?paid=1",
            "orders": "/h5/orders",
            "bind": "/h5/bind?done=1",
            "usage": "/h5/usage",
            "alerts": "/h5/alerts",
            "notices": "/h5/notices",
            "notice": f"/h5/notices/{notice}",
            "help": "/h5/help",
            "look": "/h5/look",
            "status": "/status",
            "outside_campus": "/go/self",
            "error": "/h5/nothing",
        }
        | {f"portal_{name}": path for name, path in portal_pages(notice).items()}
    )


def portal_pages(notice: int) -> dict[str, str]:
    """The address of each page of the portal, by a name."""
    return {
        "overview": "/self/",
        "recharge": "/self/recharge?amount=5000",
        "recharge_arrived": f"/self/recharge?since={int(NOW.timestamp())}",
        "services": "/self/services",
        "packages": "/self/packages",
        "swap": "/self/packages/P05",
        "swap_refused": "/self/packages/NONE",
        "swap_missing": "/self/swaps/none",
        "log": "/self/log",
        "usage": "/self/usage",
        "sessions": "/self/sessions",
        "devices": "/self/devices",
        "traffic": "/self/traffic",
        "statement": "/self/statement",
        "payout": "/self/payout",
        "notices": "/self/notices",
        "notice": f"/self/notices/{notice}",
    }


def _orders(world: World) -> dict[str, OrderView]:
    credited, crediting, stuck, closed, unpaid = (
        world.order(amount_fen=fen, account_no=account_no)
        for fen, account_no in ((2000, OWN), (5000, OTHER), (10_000, OTHER), (700, OTHER), (500, OTHER))
    )
    partly, refunding, refunded = (world.order(amount_fen=fen, account_no=OTHER) for fen in (3000, 900, 800))
    for order in (credited, crediting, stuck, partly, refunding, refunded):
        world.pay_order(order)
    world.credit_order(credited)
    world.stick_order(stuck)
    world.credit_order(partly)
    for order, fen in ((partly, 1050), (refunding, 900), (refunded, 800)):
        number = send_back(world.services, order.order_no, fen)
        if order is not refunding:
            hear(world.services, number, RefundStatus.SUCCESS)
    orders.cancel(world.services, order_no=closed.order_no, openid=OPENID)
    swapped, kept, wished = (
        world.order(fen, OTHER, then_package=code)
        for fen, code in ((2000, "P20"), (1000, "P10"), (3000, "P30"))
    )
    for order in (swapped, kept):
        world.pay_order(order)
        world.credit_order(order)
        world.swap_order(order)
    return {
        "swapped": swapped, "swap_refused": kept, "swap_wished": wished,
        "credited": credited, "crediting": crediting, "attention": stuck, "closed": closed, "unpaid": unpaid,
        "partly": partly, "refunding": refunding, "refunded": refunded,
    }  # fmt: skip


UNBOUND = STRANGER
