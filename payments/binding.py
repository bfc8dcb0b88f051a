"""Binding a campus account to a WeChat user, and announcing it to the account's owner.

Every binding, the first one included, stands in the portal's records, goes to the other bound WeChat
users and to the campus mail hook (outbox kind `owner_notice`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from identity import login_sessions
from models import person
from models.clock import campus_date
from models.errors import Refused
from models.people.login_session import SubjectKind
from models.person import BindingRecord
from models.tidings import Tidings, of_notice
from payments import outbox
from payments.services import Services

OWNER_NOTICE = "owner_notice"
BOUND_ELSEWHERE = (
    "您绑定的校园网账号 {account} 刚刚也被另一个微信绑定。"
    "如果不是您本人操作，请修改统一身份认证密码并联系我们。"
)
UNBOUND_BY_OWNER = (
    "校园网账号 {account} 的主人在自助服务系统解除了与这个微信的绑定。之后不能再查询该账号的余额和用量。"
)
ID_DIGITS_MAX = 18


class NoSuchBinding(Refused):
    """The account has no such binding, or it has ended."""

    status = 404
    code = "E-BIND-ID"

    def __init__(self, text: str = "这个绑定已经解除") -> None:
        super().__init__(text)


def bind_account(services: Services, *, openid: str, account_no: str) -> None:
    """Bind an account whose owner has just logged in, and announce it.

    Each earlier bound user is told once a day.
    Raises: NoSuchAccount - the identity is known but billing has no such account.
    """
    # The identity server may spell the number otherwise than billing.
    account_no = services.billing.find_account(account_no).account_no
    now = services.clock()
    with services.transaction() as session:
        if person.bound_account(session, openid) == account_no:
            return
        for other in person.bind(session, openid, account_no, now):
            outbox.put(
                session,
                "message",
                f"bound:{account_no[-8:]}:{other[-20:]}:{campus_date(now)}",
                _bound_elsewhere(account_no, now).payload(other),
                now=now,
            )
        _notify_owner(session, "bound", account_no, openid, now=now)
    services.wake()


def _notify_owner(session: Session, event: str, account_no: str, openid: str, *, now: datetime) -> None:
    payload = {
        "event": event,
        "account_no": account_no,
        "wechat_tail": openid[-6:],
        "at": now.isoformat(),
    }
    key = f"{event}:{account_no[-16:]}:{openid[-16:]}:{int(now.timestamp())}"
    outbox.put(session, OWNER_NOTICE, key, payload, now=now)


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
    """End the person's binding and their page sessions. Returns: the account that was bound, or None."""
    now = services.clock()
    with services.transaction() as session:
        account_no = person.unbind(session, openid, now)
        if account_no is not None:
            login_sessions.end_all(session, SubjectKind.WECHAT, openid, now=now, cause="unbound")
        return account_no


def records_of(services: Services, account_no: str) -> list[BindingRecord]:
    """Return the bindings of an account for its owner, those in force first."""
    with services.reading() as session:
        return person.binding_records(session, account_no)


def unbind_from_account(services: Services, *, account_no: str, binding_id: str) -> None:
    """End one binding at the wish of the account's owner; the WeChat user is told.

    Raises: NoSuchBinding.
    """
    if not (binding_id.isascii() and binding_id.isdecimal() and len(binding_id) <= ID_DIGITS_MAX):
        raise NoSuchBinding
    now = services.clock()
    with services.transaction() as session:
        openid = person.end_binding(session, account_no, int(binding_id), now)
        if openid is None:
            raise NoSuchBinding
        login_sessions.end_all(session, SubjectKind.WECHAT, openid, now=now, cause="unbound")
        message = of_notice(
            UNBOUND_BY_OWNER.format(account=f"…{account_no[-4:]}"),
            account_no=account_no,
            title="账号绑定提醒",
            short="账号主人已解除绑定",
            at=now,
            path="/h5/bind",
        )
        outbox.put(session, "message", f"unbound:{binding_id}", message.payload(openid), now=now)
        _notify_owner(session, "unbound", account_no, openid, now=now)
    services.wake()


def bound_account(services: Services, openid: str) -> str | None:
    """Return the account this person has proved to own, or None."""
    return person.look_up_bound_account(services.database, openid)
