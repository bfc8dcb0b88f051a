"""Binding a campus account to a WeChat user, and telling those who had it before."""

from __future__ import annotations

from datetime import datetime

from models import person
from models.clock import campus_date
from models.tidings import Tidings, of_notice
from payments import outbox
from payments.services import Services

BOUND_ELSEWHERE = (
    "您绑定的校园网账号 {account} 刚刚也被另一个微信绑定。"
    "如果不是您本人操作，请修改统一身份认证密码并联系我们。"
)


def bind_account(services: Services, *, openid: str, account_no: str) -> None:
    """Bind an account whose owner has just logged in; each earlier bound user is told once a day.

    Raises: NoSuchAccount - the identity is known but billing has no such account.
    """
    # The identity server may spell the number otherwise than billing.
    account_no = services.billing.find_account(account_no).account_no
    now = services.clock()
    with services.transaction() as session:
        for other in person.bind(session, openid, account_no, now):
            outbox.put(
                session,
                "message",
                f"bound:{account_no[-8:]}:{other[-20:]}:{campus_date(now)}",
                _bound_elsewhere(account_no, now).payload(other),
                now=now,
            )
    services.wake()


def _bound_elsewhere(account_no: str, now: datetime) -> Tidings:
    return of_notice(
        BOUND_ELSEWHERE.format(account=f"…{account_no[-4:]}"),
        account_no=account_no,
        title="账号绑定提醒",
        short="账号刚被另一个微信绑定，请核对",
        at=now,
        path="/h5/bind",
    )


def unbind_account(services: Services, *, openid: str) -> str | None:
    """End the person's binding. Returns: the account that was bound, or None."""
    with services.transaction() as session:
        return person.unbind(session, openid, services.clock())


def bound_account(services: Services, openid: str) -> str | None:
    """The account this person has proved to own, or None."""
    return person.look_up_bound_account(services.database, openid)
