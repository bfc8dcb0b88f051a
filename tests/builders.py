"""Services on a real database with scripted outsides, and orders in every state in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, cast

from sqlalchemy import select

from billing.interface import AccountName, Capabilities, CreditOutcome, CreditReceipt
from models.db.engine import Database
from models.errors import Refused, ServiceError
from models.order import Credit, Order, credit_of, find_order
from models.outbox import OutboxItem
from models.site import Contact, RechargeRules, Site
from payments import orders, outbox
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.services import Services
from payments.views import OrderView
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import AlreadyPaid, TradeNotFound

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
PAYER = "oPayer0000000000000000000001"
ACCOUNT = "2400101001"

SITE = Site(
    name="校园网",
    base_url="https://net.example.edu",
    intranet_url="https://net.example.edu/self/",
    campus_networks=(ip_network("10.0.0.0/8"),),
    contact=Contact("1", "2", "3", "4", 9, 18),
)
RULES = RechargeRules((500,), 100, 50_000, 100, 200_000, 1800)


@dataclass
class TestClock:
    """Stands still until it is moved."""

    __test__ = False
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)


@dataclass
class ScriptedBilling:
    """Billing that keeps books in a dict and fails as told: each error of `troubles` is raised once.

    An error whose `effect` attribute is true is raised after the credit was applied.
    """

    credits: dict[str, tuple[str, int]] = field(default_factory=dict)
    troubles: list[ServiceError] = field(default_factory=list)
    can_find: bool = True
    window_s: int | None = 60
    calls: list[str] = field(default_factory=list)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            find_credit=self.can_find,
            exchange=False,
            usage=False,
            sessions=False,
            kick=False,
            local=True,
            reverse=False,
            credit_is_idempotent=True,
            confirmation_window_s=self.window_s,
        )

    def find_account(self, account_no: str) -> AccountName:
        return AccountName(account_no, "*明")

    def credit(self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None) -> CreditReceipt:
        del ref
        self.calls.append("credit")
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None and not getattr(trouble, "effect", False):
            raise trouble
        known = key in self.credits
        self.credits.setdefault(key, (account_no, amount_fen))
        if trouble is not None:
            raise trouble
        outcome = CreditOutcome.ALREADY_APPLIED if known else CreditOutcome.APPLIED
        return CreditReceipt(key, account_no, amount_fen, outcome, amount_fen, NOON)

    def find_credit(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        del account_no, ref
        self.calls.append("find_credit")
        if key not in self.credits:
            return None
        account_no, amount_fen = self.credits[key]
        return CreditReceipt(key, account_no, amount_fen, CreditOutcome.ALREADY_APPLIED, amount_fen, NOON)


@dataclass
class ScriptedPay:
    """WeChat Pay as a dict of trades; `troubles` are raised first, each once."""

    app_id: str = "wx0000000000000001"
    mch_id: str = "1900000001"
    trades: dict[str, str] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    troubles: list[ServiceError] = field(default_factory=list)
    pay_before_close: bool = False
    calls: list[str] = field(default_factory=list)

    def prepay(self, *, out_trade_no: str, amount_fen: int, **_: Any) -> str:
        self._called("prepay")
        self.trades.setdefault(out_trade_no, "NOTPAY")
        self.amounts[out_trade_no] = amount_fen
        return f"wx{out_trade_no}"

    def query(self, out_trade_no: str) -> Trade:
        self._called("query")
        if out_trade_no not in self.trades:
            raise TradeNotFound("ORDERNOTEXIST", "", "")
        return self.trade(out_trade_no)

    def close(self, out_trade_no: str) -> None:
        self._called("close")
        if self.pay_before_close:
            self.trades[out_trade_no] = "SUCCESS"
        if self.trades[out_trade_no] == "SUCCESS":
            raise AlreadyPaid("ORDERPAID", "", "")
        self.trades[out_trade_no] = "CLOSED"

    def jsapi_params(self, prepay_id: str) -> dict[str, str]:
        return {"package": f"prepay_id={prepay_id}"}

    def trade(self, out_trade_no: str) -> Trade:
        paid = self.trades[out_trade_no] in ("SUCCESS", "REFUND")
        return Trade(
            out_trade_no=out_trade_no,
            trade_state=self.trades[out_trade_no],
            app_id=self.app_id,
            mch_id=self.mch_id,
            transaction_id=f"42{out_trade_no}" if paid else None,
            openid=PAYER if paid else None,
            amount_fen=self.amounts[out_trade_no] if paid else None,
            currency="CNY",
            paid_at=NOON if paid else None,
            raw_state_desc="",
        )

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.troubles:
            raise self.troubles.pop(0)


@dataclass
class World:
    """A house of one: real database, scripted outsides, a clock that a test moves."""

    database: Database
    clock: TestClock = field(default_factory=TestClock)
    billing: ScriptedBilling = field(default_factory=ScriptedBilling)
    pay: ScriptedPay = field(default_factory=ScriptedPay)
    woken: list[int] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return Services(
            database=self.database,
            clock=self.clock,
            billing=cast("Any", self.billing),
            pay=cast("Any", self.pay),
            rules=RULES,
            site=SITE,
            wake=lambda: self.woken.append(1),
        )

    def start(self, amount_fen: int = 500, account_no: str = ACCOUNT) -> OrderView:
        return orders.start_recharge(
            self.services, openid=PAYER, account_no=account_no, amount_fen=amount_fen
        )

    def prepaid(self, amount_fen: int = 500) -> OrderView:
        view = self.start(amount_fen)
        orders.pay_params(self.services, order_no=view.order_no, openid=PAYER)
        return view

    def paid(self, amount_fen: int = 500) -> OrderView:
        view = self.prepaid(amount_fen)
        self.confirm(view)
        return view

    def fact(self, view: OrderView, **changes: Any) -> PaidFact:
        values: dict[str, Any] = {
            "provider": WECHAT,
            "out_trade_no": f"{view.order_no}01",
            "transaction_id": f"42{view.order_no}",
            "amount_fen": view.amount_fen,
            "currency": "CNY",
            "openid": PAYER,
            "paid_at": self.clock(),
        }
        return PaidFact(**{**values, **changes})

    def confirm(self, view: OrderView, **changes: Any) -> None:
        self.pay.trades[f"{view.order_no}01"] = "SUCCESS"
        with self.database.transaction() as session:
            confirm_paid(session, self.fact(view, **changes), cause="notify", now=self.clock())

    def order(self, view: OrderView) -> Order:
        with self.database.reading() as session:
            found = find_order(session, view.order_no)
            assert found is not None
            return found

    def credit(self, view: OrderView) -> Credit:
        with self.database.reading() as session:
            found = credit_of(session, view.id)
            assert found is not None
            return found

    def item(self, kind: str, key: str) -> OutboxItem | None:
        with self.database.reading() as session:
            return session.scalar(select(OutboxItem).where(OutboxItem.kind == kind, OutboxItem.key == key))

    def claim(self, *kinds: str, owner: str = "w1", lease_s: float = 30) -> list[outbox.Claim]:
        with self.database.transaction() as session:
            return outbox.claim(
                session, owner, now=self.clock(), limit=10, kinds=list(kinds), lease_s=lease_s
            )


def effect(error: ServiceError) -> ServiceError:
    """The error comes after the far side did it."""
    error.effect = True  # type: ignore[attr-defined]
    return error


def refusal(text: str = "不行") -> Refused:
    return Refused(text)


Maker = Callable[[], World]
