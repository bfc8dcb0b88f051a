"""One person's conversation with the table of handlers: real database, real billing, no robot, no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.registry import DemoAccount, build, seed_demo
from bot.context import Answer, ChatState, Context, Push, Text, ToHuman
from bot.index import Index
from bot.limits import RateLimiter
from bot.push import normalise
from handlers import ROUTES
from handlers.services import HandlerServices
from models import schema
from models.db.engine import Database
from models.errors import Refused, ServiceError
from models.site import Contact, RechargeRules, Site
from payments.binding import bind_account
from payments.wechatpay.client import Trade, WechatPay
from payments.wechatpay.errors import TradeNotFound

# A Tuesday, noon on campus.
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
ME = "oMe_0000000000000000000000001"
MY_ACCOUNT = "2400101001"
ROOMMATE = "2400101002"
BASE_URL = "https://net.example.edu"

CONTACT = Contact(
    qq_group="466522933",
    hotline="0773-2290739",
    office="网络与信息技术中心1楼110室（原桂林信息科技学院办公楼，现网络与信息中心、研究生学院办公楼）",
    office_hours="工作日 8:30–12:00，14:30–17:30",
    service_from_hour=9,
    service_until_hour=17,
)
SITE = Site(
    name="桂电校园网",
    base_url=BASE_URL,
    intranet_url="http://self.example.edu",
    campus_networks=(ip_network("10.0.0.0/8"),),
    contact=CONTACT,
)
RULES = RechargeRules(
    presets_fen=(500, 1000, 2000, 5000, 10000, 20000),
    min_fen=100,
    max_fen=50000,
    step_fen=100,
    daily_limit_fen=100000,
    order_ttl_s=7200,
)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **how_long: int) -> None:
        self.now += timedelta(**how_long)


@dataclass
class WordOfWechat:
    """WeChat Pay's answer to a query: the only call a handler may cause."""

    app_id: str = "wx0000000000000001"
    mch_id: str = "1900000001"
    trouble: ServiceError | None = None
    paid: dict[str, int] = field(default_factory=dict)

    def query(self, out_trade_no: str) -> Trade:
        if self.trouble is not None:
            raise self.trouble
        amount_fen = self.paid.get(out_trade_no[:-2])
        if amount_fen is None:
            raise TradeNotFound("ORDER_NOT_EXIST", "", "")
        return Trade(
            out_trade_no=out_trade_no,
            trade_state="SUCCESS",
            app_id=self.app_id,
            mch_id=self.mch_id,
            transaction_id=f"42{out_trade_no}",
            openid=ME,
            amount_fen=amount_fen,
            currency="CNY",
            paid_at=NOON,
            raw_state_desc="支付成功",
        )


@dataclass
class Chat:
    """Says and taps as one person does; answers are what the handlers return."""

    services: HandlerServices
    clock: Clock
    wechat: WordOfWechat
    state: ChatState = field(default_factory=ChatState)
    index: Index[HandlerServices] = field(default_factory=lambda: Index(ROUTES))

    def push(self, push: Push) -> Answer:
        """Dispatch like the robot: the index, the guard for refusals."""
        handler = self.index.find(push, self.state) or self.index.otherwise
        try:
            answer = handler(Context(push, self.state, self.services, self.clock.now))
        except Refused as refused:
            answer = Text(refused.text)
        self.state.expired = False
        return answer

    def answer(self, said: str) -> Answer:
        return self.push(Push("text", ME, normalise(said), said, fields={"MsgType": "text"}))

    def say(self, said: str) -> str:
        return text_of(self.answer(said))

    def tap(self, key: str) -> str:
        return text_of(self.push(Push("click", ME, key=key, fields={"MsgType": "event"})))

    def event(self, name: str, key: str = "", **fields: Any) -> Answer:
        return self.push(Push(name, ME, key=key, fields={"MsgType": "event", **fields}))

    def message(self, kind: str) -> Answer:
        return self.push(Push(kind, ME, fields={"MsgType": kind}))

    def bind(self, account_no: str = MY_ACCOUNT) -> None:
        bind_account(self.services, openid=ME, account_no=account_no)

    def lose_state(self) -> None:
        """Ten minutes pass: the state runs out and leaves its mark."""
        self.clock.forward(minutes=11)
        self.state = ChatState(expired=True)


def text_of(answer: Answer) -> str:
    """The words a person reads: of a text, or those before a human takes over."""
    assert isinstance(answer, Text | ToHuman), answer
    return answer.content if isinstance(answer, Text) else answer.notice


def prepare(file: Path) -> Path:
    """A database file with the published packages and two accounts, to be copied for each test."""
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    accounts = [
        DemoAccount(MY_ACCOUNT, "李小明", balance_fen=1234, daily_gb=(1, 0, 2)),
        DemoAccount(ROOMMATE, "王芳", balance_fen=98765),
    ]
    seed_demo(database, accounts, now=NOON)
    # Closing the last connection brings everything into the one file.
    database.dispose()
    return file


def open_chat(file: Path) -> Chat:
    """A conversation on this database; close `services.database` afterwards."""
    clock, wechat = Clock(), WordOfWechat()
    database = Database(f"sqlite:///{file}")
    # Nothing listens there: the limiter counts in this process.
    nowhere = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    services = HandlerServices(
        database=database,
        clock=clock,
        billing=build("embedded", database=database, clock=clock),
        pay=cast("WechatPay", wechat),
        rules=RULES,
        site=SITE,
        wake=lambda: None,
        limiter=RateLimiter(nowhere),
    )
    return Chat(services, clock, wechat)
