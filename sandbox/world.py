"""The simulated world without its server: people, platforms and what all of them share.

The views are made from a `World`; `sandbox.server` puts one on a port.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sandbox.cas import Cas
from sandbox.credentials import Credentials
from sandbox.engine import Engine, Site
from sandbox.oa.platform import OaPlatform
from sandbox.oidc import Oidc
from sandbox.pay import PaidOrder, PayPlatform
from sandbox.pay.keep import Keep
from sandbox.students import DEFAULT, Identity, Student, Students
from sandbox.webview import WebView


class World:
    """WeChat, WeChat Pay, the campus identity and everybody with a phone.

    Args:
        site: where the site under test lives; `set_site` changes it later.
        seed: from which everything that is not secret repeats itself.
        shared_clock: whether the site runs on `engine.clock`, too (see Engine).
        keep: the file in which payments, refunds and changed keys outlive the process.
    """

    def __init__(
        self,
        credentials: Credentials,
        site: Site,
        *,
        seed: int = 0,
        students: Iterable[Identity] = DEFAULT,
        shared_clock: bool = True,
        keep: Path | None = None,
    ) -> None:
        self.engine = Engine(credentials, site, seed=seed, shared_clock=shared_clock)
        self.students = Students(credentials.app_id, students)
        self.oa = OaPlatform(self.engine, self.students)
        self.pay = PayPlatform(self.engine, self.oa.person_exists, keep=Keep(keep))
        self.pay.on_paid = self._paid
        self.cas = Cas(self.engine, self.students)
        self.oidc = Oidc(self.engine, self.cas)
        self.webview = WebView(self.engine, self.students)

    def set_site(self, site: Site) -> None:
        """Point the platform at another site, as the consoles do."""
        self.engine.site = site

    def set_message_mode(self, mode: str) -> None:
        """Switch between "safe" and "plain" pushes."""
        self.engine.site = replace(self.engine.site, message_mode=mode)

    def enrol(self, identity: Identity) -> Student:
        """One more person with a phone; ValueError when the id or account is taken."""
        with self.engine.lock:
            student = self.students.add(identity)
            self.oa.chat.watch(student.openid)
        return student

    def reset(self, seed: int | None = None) -> None:
        """Back to the start in everything but the clock, which only moves forward; `seed` may be another."""
        self.engine.scheduler.clear()
        self.engine.chance.restart(self.engine.chance.seed if seed is None else seed)
        self.engine.faults.reset()
        with self.engine.lock:
            self.students.reset()
            self.oa.reset()
        self.pay.reset()
        self.cas.reset()
        self.oidc.reset()
        self.webview.forget()
        self.engine.wire.clear()

    def _paid(self, openid: str, order: PaidOrder) -> None:
        self.oa.receipt(
            openid,
            {
                "amount_fen": order.amount_fen,
                "description": order.description,
                "merchant": order.merchant,
                "transaction_id": order.transaction_id,
                "out_trade_no": order.out_trade_no,
            },
        )
