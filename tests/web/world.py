"""The pages with everything below them real (database, billing, orders) and the outside world played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient

from app.factory import WebSettings, create_app
from billing.embedded import entrance, seed
from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from bot.callback import Callback
from bot.limits import RateLimiter
from bot.oauth import OAuth
from bot.redis_gate import connect
from models import schema
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import Forged, LimitReached, PageExpired
from models.notice import Notice
from models.order import CreditStatus, credit_of, find_order, move_credit
from models.package import Package
from models.site import Contact, RechargeRules, Site
from payments import binding, credit, orders, outbox, swap
from payments.confirm import PaidFact, confirm_paid
from payments.numbers import out_trade_no
from payments.views import OrderView
from payments.wechatpay.client import Trade, WechatPay
from payments.wechatpay.errors import TradeNotFound
from web.captcha import Captchas
from web.identity import Identity, IdentityConfig, TicketRefused
from web.services import WebServices

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=CAMPUS_ZONE)
OPENID = "oXiaoming00000000000000000001"
STRANGER = "oStranger0000000000000000002"
OWN, OTHER = "2400101001", "2400101002"
WECHAT_UA = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 MicroMessenger/8.0.50 Language/zh_CN"
BASE_URL = "http://site.test"
# Nobody listens there.
NO_REDIS = "redis://127.0.0.1:9"
ACCOUNTING_SECRET = "accounting-secret-of-the-tests-01"


class PlayedPay:
    """WeChat Pay as far as the pages see it: `paid` maps an out_trade_no to what was paid."""

    app_id, mch_id = "wxapp", "1900000001"

    def __init__(self) -> None:
        self.paid: dict[str, Trade] = {}
        self.asked: list[str] = []

    def prepay(self, **_order: Any) -> str:
        return "wx-prepay-1"

    def jsapi_params(self, prepay_id: str) -> dict[str, str]:
        return {"appId": self.app_id, "package": f"prepay_id={prepay_id}", "paySign": "signed"}

    def query(self, number: str) -> Trade:
        self.asked.append(number)
        if number not in self.paid:
            raise TradeNotFound("ORDERNOTEXIST", "no such order", "req-1")
        return self.paid[number]

    def close(self, number: str) -> None:
        self.asked.append(number)


class PlayedOAuth:
    """Codes are openids."""

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        return f"https://open.weixin.test/authorize?redirect_uri={redirect_uri}&state={state}"

    def openid_of(self, code: str) -> str:
        if not code.startswith("o"):
            raise PageExpired
        return code


class PlayedIdentity(Identity):
    """Tickets are worth what `tickets` says, once, for the service they were made for."""

    def __init__(self) -> None:
        super().__init__(IdentityConfig("https://ids.test/authserver"))
        self.tickets: dict[tuple[str, str], str] = {}
        # Those that a session gave, without a password.
        self.stale: set[str] = set()

    def account_of(self, service: str, ticket: str, *, fresh: bool = False) -> str:
        account_no = self.tickets.pop((service, ticket), None)
        if account_no is None or (fresh and ticket in self.stale):
            raise TicketRefused
        return account_no


class PlayedCallback:
    """The bot's entrance: echoes, or refuses a query without a signature."""

    def verify(self, query: Mapping[str, str]) -> str:
        if "signature" not in query:
            raise Forged("no signature")
        return query["echostr"]

    def handle(self, query: Mapping[str, str], body: bytes) -> tuple[int, str, str]:
        del query
        return 200, f"<xml>{len(body)}</xml>", "application/xml; charset=utf-8"


class CountingLimiter:
    """Limits without windows; `allow` lifts them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def hit(self, key: str, *, limit: int, window_s: int) -> None:
        del window_s
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] > limit:
            raise LimitReached("操作太频繁了，请稍后再试")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """One site; the `played_*` parts are its outside world."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    pay: PlayedPay = field(default_factory=PlayedPay)
    identity: PlayedIdentity = field(default_factory=PlayedIdentity)
    limiter: CountingLimiter = field(default_factory=CountingLimiter)
    notified: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    notify_error: Exception | None = None
    base_url: str = BASE_URL
    redis_url: str = NO_REDIS

    def __post_init__(self) -> None:
        self.services = WebServices(
            database=self.database,
            clock=self.clock,
            billing=EmbeddedBilling(self.database, self.clock),
            pay=cast("WechatPay", self.pay),
            rules=RechargeRules((1000, 2000, 5000, 10_000, 20_000), 100, 50_000, 100, 200_000, 1800),
            site=_site(self.base_url),
            wake=lambda: None,
            callback=cast("Callback", PlayedCallback()),
            oauth=cast("OAuth", PlayedOAuth()),
            identity=self.identity,
            captchas=Captchas(connect(self.redis_url)),
            limiter=cast("RateLimiter", self.limiter),
            notify=self._notify,
            accounting=self._receive,
        )
        self.app: Flask = create_app(
            self.services, WebSettings("test-secret", secure_cookies=False, trusted_proxies=0)
        )

    def _notify(self, headers: Mapping[str, str], body: bytes) -> None:
        if self.notify_error is not None:
            raise self.notify_error
        self.notified.append((headers, body))

    def _receive(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        taker = Accounting(self.database, self.clock)
        return entrance.receiver(taker, ACCOUNTING_SECRET, self.clock)(headers, body)

    def reader(self, openid: str | None = OPENID, *, address: str = "203.0.113.7") -> FlaskClient:
        """A browser inside WeChat, known as `openid` or not yet known."""
        client = self.app.test_client()
        client.environ_base.update({"HTTP_USER_AGENT": WECHAT_UA, "REMOTE_ADDR": address})
        if openid is not None:
            with client.session_transaction() as session:
                session["wechat"] = {"openid": openid, "at": int(self.clock().timestamp())}
        return client

    def bind(self, account_no: str = OWN, openid: str = OPENID) -> None:
        binding.bind_account(self.services, openid=openid, account_no=account_no)

    def order(
        self,
        amount_fen: int = 500,
        account_no: str = OTHER,
        openid: str = OPENID,
        then_package: str | None = None,
    ) -> OrderView:
        return orders.start_recharge(
            self.services,
            openid=openid,
            account_no=account_no,
            amount_fen=amount_fen,
            then_package=then_package,
        )

    def pay_order(self, order: OrderView, openid: str = OPENID) -> None:
        """The money is there; billing does not know it yet."""
        number = out_trade_no(order.order_no, 1)
        fact = PaidFact(
            "wechat", number, f"42000{order.id:020d}", order.amount_fen, "CNY", openid, self.clock()
        )
        with self.services.transaction() as session:
            confirm_paid(session, fact, cause="test", now=self.clock())

    def credit_order(self, order: OrderView) -> None:
        """The worker's part."""
        until = self.clock() + timedelta(seconds=outbox.LEASE_S)
        held = outbox.Claim(1, "credit", order.order_no, {"order_no": order.order_no}, 1, "test", until)
        credit.deliver(self.services, held)

    def swap_order(self, order: OrderView) -> None:
        """The worker's part after the credit."""
        with self.services.transaction() as session:
            (held,) = outbox.claim(session, "test", now=self.clock(), limit=1, kinds=[swap.KIND])
        assert held.key == order.order_no
        swap.deliver(self.services, held)

    def stick_order(self, order: OrderView) -> None:
        """A paid order that waits for a person."""
        with self.services.transaction() as session:
            row = find_order(session, order.order_no)
            found = credit_of(session, row.id) if row else None
            assert found is not None
            for status in (CreditStatus.SENDING, CreditStatus.UNKNOWN, CreditStatus.MANUAL):
                move_credit(session, found, status, now=self.clock())

    def trade(self, order: OrderView) -> None:
        """WeChat says, when asked, that it was paid."""
        number = out_trade_no(order.order_no, 1)
        self.pay.paid[number] = Trade(
            number, "SUCCESS", self.pay.app_id, self.pay.mch_id, f"42001{order.id:020d}", OPENID,
            order.amount_fen, "CNY", self.clock(), "支付成功",
        )  # fmt: skip

    def notice(self, title: str, body: str, *, hours_ago: float = 1) -> int:
        with self.services.transaction() as session:
            row = Notice(title=title, body=body, published_at=self.clock() - timedelta(hours=hours_ago))
            session.add(row)
            session.flush()
            return row.id


def seed_database(url: str) -> None:
    """Tables, catalogue and two accounts, one of which has used some traffic."""
    database = Database(url)
    schema.upgrade(database)
    with database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session)
        session.add(
            Package(
                code="S1", name="11月特惠", price_fen=1500, quota_bytes=50 * 10**9, validity_months=1,
                special=True,
                sale_from=NOW - timedelta(days=3), sale_until=NOW + timedelta(days=7),
            )
        )  # fmt: skip
        daily = (2, 1, 0, 3, 2, 1, 1, 2, 4, 1, 0, 1, 2, 1, 1, 3)
        rows = [
            seed.DemoAccount(OWN, "李小明", balance_fen=1234, daily_gb=daily),
            seed.DemoAccount(OTHER, "欧阳小红", balance_fen=98_765),
        ]
        seed.seed_demo_accounts(session, rows, NOW)
    database.dispose()


def _site(base_url: str) -> Site:
    contact = Contact(
        "466522933",
        "0773-2290739",
        "网络与信息技术中心1楼110室（原桂林信息科技学院办公楼，现网络与信息中心、研究生学院办公楼）",
        "工作日上班时间",
        9,
        18,
    )
    return Site("桂电校园网", base_url, f"{base_url}/self/", (ip_network("10.0.0.0/8"),), contact)
