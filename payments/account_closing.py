"""Closing an account: one operator requests it, another one approves; then it takes no more money.

What is on the account stays there and can be paid out.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import journal
from models.account_closing import AccountClosing, ClosingStatus, decide_closing
from models.errors import IllegalTransition, Refused
from models.values.actor import Actor
from payments.services import Services


class NoSuchClosing(Refused):
    """Nothing waits for this account."""

    status = 404
    code = "E-CLOSING"

    def __init__(self, text: str = "该账号没有待批准的销户申请") -> None:
        super().__init__(text)


class SameOperator(Refused):
    """The operator who requested a closing cannot approve it."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "销户须由申请人以外的另一人批准") -> None:
        super().__init__(text)


def request(services: Services, *, account_no: str, actor: Actor) -> AccountClosing:
    """Request that an account takes no more money.

    Raises:
        NoSuchAccount: there is no such account, or it is closed already.
        IllegalTransition: a request waits already.
        Refused: billing closes no accounts.
        Unavailable: billing cannot be asked.
    """
    _check_able(services)
    account_no, now = account_no.strip(), services.clock()
    services.billing.find_account(account_no)
    closing = AccountClosing(
        open_key=account_no,
        account_no=account_no,
        status=ClosingStatus.REQUESTED,
        requested_by=actor.name,
        created_at=now,
        changed_at=now,
    )
    try:
        with services.transaction() as session:
            session.add(closing)
            session.flush()  # a second open request of this account fails here
            _note(session, services, closing, "closing-requested", actor)
    except IntegrityError:
        raise IllegalTransition("该账号已有待批准的销户申请") from None
    return closing


def approve(services: Services, *, account_no: str, actor: Actor) -> AccountClosing:
    """Close the account in billing; should its answer be lost, approve again.

    Raises:
        NoSuchClosing: nothing waits for this account.
        SameOperator: `actor` requested it.
        NoSuchAccount: there is no such account any more.
        Unknown, Unavailable: billing did not answer; the request still waits.
    """
    _check_able(services)
    with services.reading() as session:
        closing = _waiting(session, account_no.strip())
        if actor.is_system or actor.is_same_person(closing.requested_by):
            raise SameOperator
    services.billing.close_account(closing.account_no)
    return _decide(services, closing.account_no, ClosingStatus.DONE, actor)


def reject(services: Services, *, account_no: str, actor: Actor) -> AccountClosing:
    """End a request; the account stays open. Raises: NoSuchClosing."""
    return _decide(services, account_no.strip(), ClosingStatus.REJECTED, actor)


def waiting(services: Services, *, limit: int = 50) -> list[AccountClosing]:
    """Return the requests that wait for approval, oldest first."""
    query = select(AccountClosing).where(AccountClosing.status == ClosingStatus.REQUESTED)
    with services.reading() as session:
        return list(session.scalars(query.order_by(AccountClosing.id).limit(limit)))


def _check_able(services: Services) -> None:
    if not services.billing.capabilities().close_account:
        raise Refused("计费系统不支持销户")


def _decide(services: Services, account_no: str, new: ClosingStatus, actor: Actor) -> AccountClosing:
    with services.transaction() as session:
        closing = _waiting(session, account_no, lock=True)
        decide_closing(session, closing, new, actor=actor.name, now=services.clock())
        _note(session, services, closing, f"closing-{new.lower()}", actor)
    return closing


def _waiting(session: Session, account_no: str, *, lock: bool = False) -> AccountClosing:
    query = select(AccountClosing).where(AccountClosing.open_key == account_no)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NoSuchClosing
    return found


def _note(session: Session, services: Services, closing: AccountClosing, what: str, actor: Actor) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor.name,
        now=services.clock(),
        account_no=closing.account_no,
    )
