"""The daily limit of recharges, for the payer and for the account.

Open orders of other payers never count: anyone may make them for any account without paying. So the limit
is checked twice, with the payer's own open orders when an order is made, and with paid money alone when it
is about to be paid. Money that arrives all the same is always accepted.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from models.clock import CAMPUS_ZONE
from models.errors import LimitReached
from models.money import yuan_short
from models.order import Order, OrderStatus
from models.site import RechargeRules

SOURCE = "wechat"
_PAYER, _ACCOUNT = "今日累计充值", "该账号今日累计充值"


def check_new(
    session: Session, *, openid: str, account_no: str, amount_fen: int, rules: RechargeRules, now: datetime
) -> None:
    """Return if the payer may make this order: today's payments and the payer's open orders count.

    Two tabs in the same instant may pass it by one order; `check_payable` stops that one.
    Raises: LimitReached.
    """
    paid = _paid_today(now)
    mine = and_(Order.payer_openid == openid, _open(now))
    _check(session, and_(Order.payer_openid == openid, or_(paid, mine)), _PAYER, amount_fen, rules)
    _check(session, and_(Order.account_no == account_no, or_(paid, mine)), _ACCOUNT, amount_fen, rules)


def check_payable(session: Session, order: Order, *, rules: RechargeRules, now: datetime) -> None:
    """Return if the order may still be paid today: only money that was paid counts. Raises: LimitReached."""
    paid = _paid_today(now)
    _check(session, and_(Order.payer_openid == order.payer_openid, paid), _PAYER, order.amount_fen, rules)
    _check(session, and_(Order.account_no == order.account_no, paid), _ACCOUNT, order.amount_fen, rules)


def _paid_today(now: datetime) -> ColumnElement[bool]:
    midnight = now.astimezone(CAMPUS_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return and_(Order.status == OrderStatus.PAID, Order.paid_at >= midnight)


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(Order.status.in_((OrderStatus.CREATED, OrderStatus.PREPAID)), Order.expires_at > now)


def _check(
    session: Session, which: ColumnElement[bool], name: str, amount_fen: int, rules: RechargeRules
) -> None:
    spent = select(func.coalesce(func.sum(Order.amount_fen), 0)).where(which, Order.source == SOURCE)
    if (session.scalar(spent) or 0) + amount_fen > rules.daily_limit_fen:
        raise LimitReached(f"{name}不能超过 {yuan_short(rules.daily_limit_fen)} 元")
