"""Alerts: raised once in a cycle, told to the people bound to the account who want them, by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, aliased

from billing.interface import Balance, Crossing, CrossingKind
from models.alert import LOW_BALANCE_FEN, Alert, AlertChoice, AlertKind
from models.clock import CAMPUS_ZONE, campus_date
from models.errors import NoSuchAccount
from models.person import Binding, Person, ensure_person
from models.site import Site
from models.tidings import Tidings
from payments import alert_wording as say
from payments import outbox
from payments.services import Services

JOB = "alert"
QUIET_FROM_HOUR = 22
QUIET_UNTIL_HOUR = 8
# What waited for the morning does not go out in one second.
MORNING_SPREAD_S = 1800
ENDING = timedelta(days=3)
# A throttled account that nobody restored for so long is not looked at any more.
RESTORE_WITHIN = timedelta(days=62)
STEP = 500

_OF_CROSSING = {
    CrossingKind.ALMOST: AlertKind.TRAFFIC_80,
    CrossingKind.USED_UP: AlertKind.TRAFFIC_100,
    CrossingKind.THROTTLED: AlertKind.THROTTLED,
}


@dataclass(frozen=True)
class Choice:
    """Whether a person wants alerts, and below what their balance is low (0: never told)."""

    wanted: bool = True
    low_balance_fen: int = LOW_BALANCE_FEN


@dataclass(frozen=True)
class Listener:
    """Somebody who is bound to an account and wants alerts."""

    binding_id: int
    person_id: int
    openid: str
    account_no: str
    low_balance_fen: int


def raise_crossings(session: Session, crossings: Sequence[Crossing], *, site: Site, now: datetime) -> None:
    """Write down what traffic has crossed, and promise the messages, in the transaction of the traffic.

    Of what happened to an account at once only the last is said: who is told that nothing is left
    need not hear that a lot is empty.
    """
    for place, crossing in enumerate(crossings):
        number = _raise(session, crossing.account_no, _OF_CROSSING[crossing.kind], crossing.cycle, now)
        later = any(other.account_no == crossing.account_no for other in crossings[place + 1 :])
        if number is None or later:
            continue
        for listener in _listeners(session, Binding.account_no == crossing.account_no):
            _tell(session, number, listener, say.crossed(site, crossing.account_no, crossing, at=now), now)


def watch_restored(services: Services) -> None:
    """Tell who was throttled and is not any more (a new package, a new month).

    Raises: Unavailable - billing does not answer.
    """
    now, after = services.clock(), 0
    while True:
        with services.reading() as session:
            waiting = _throttled(session, now - RESTORE_WITHIN, after)
        for number, account_no, cycle in waiting:
            after = number
            balance = _balance(services, account_no)
            if balance is None or balance.throttled:
                continue
            tidings = say.restored(services.site, balance, at=now)
            _raise_and_tell(services, account_no, AlertKind.RESTORED, cycle, tidings)
        if len(waiting) < STEP:
            services.wake()
            return


def watch_balances(services: Services) -> None:
    """Look at the account of everybody who wants alerts: a package that ends soon, a low balance.

    Raises: Unavailable - billing does not answer; what was told already is not told again.
    """
    after = 0
    while True:
        with services.reading() as session:
            listeners = _listeners(session, Binding.id > after, limit=STEP)
        for listener in listeners:
            after = listener.binding_id
            balance = _balance(services, listener.account_no)
            if balance is not None:
                _look_at(services, listener, balance)
        if len(listeners) < STEP:
            services.wake()
            return


def choice_of(session: Session, openid: str) -> Choice:
    """What a person has chosen."""
    query = (
        select(AlertChoice.wanted, AlertChoice.low_balance_fen)
        .join(Person, Person.id == AlertChoice.person_id)
        .where(Person.openid == openid)
    )
    row = session.execute(query).one_or_none()
    return Choice() if row is None else Choice(*row)


def choose(
    services: Services, openid: str, *, wanted: bool | None = None, low_balance_fen: int | None = None
) -> Choice:
    """Change what is given, keep the rest; choosing a threshold turns alerts on. Returns: what holds now."""
    now = services.clock()
    with services.transaction() as session:
        person = ensure_person(session, openid, now)
        row = session.get(AlertChoice, person.id)
        if row is None:
            row = AlertChoice(person_id=person.id, wanted=True, low_balance_fen=LOW_BALANCE_FEN)
            session.add(row)
        if low_balance_fen is not None:
            row.low_balance_fen, row.wanted = low_balance_fen, True
        if wanted is not None:
            row.wanted = wanted
        row.changed_at = now
        return Choice(row.wanted, row.low_balance_fen)


def still_wanted(session: Session, openid: str, account_no: str) -> bool:
    """Whether a promised message may still be sent: at night people change their minds, or the account."""
    return any(listener.account_no == account_no for listener in _listeners(session, Person.openid == openid))


def by_day(at: datetime, openid: str) -> datetime:
    """When somebody may be told: at once by day, else in the morning, each at a moment of their own."""
    local = at.astimezone(CAMPUS_ZONE)
    if QUIET_UNTIL_HOUR <= local.hour < QUIET_FROM_HOUR:
        return at
    morning = local.replace(hour=QUIET_UNTIL_HOUR, minute=0, second=0, microsecond=0)
    if local.hour >= QUIET_FROM_HOUR:
        morning += timedelta(days=1)
    return (morning + timedelta(seconds=crc32(openid.encode()) % MORNING_SPREAD_S)).astimezone(at.tzinfo)


def _look_at(services: Services, listener: Listener, balance: Balance) -> None:
    now, package = services.clock(), balance.package
    if package is not None and package.left_bytes and package.ends_at - now <= ENDING:
        cycle = package.ends_at.isoformat()
        tidings = say.ending(balance.account_no, package, at=now)
        _raise_and_tell(services, balance.account_no, AlertKind.ENDING, cycle, tidings)
    if balance.balance_fen < listener.low_balance_fen:
        # Each person has a threshold of their own, so each has a cycle of their own.
        cycle = f"{campus_date(now):%Y-%m}:{listener.person_id}"
        with services.transaction() as session:
            number = _raise(session, balance.account_no, AlertKind.LOW_BALANCE, cycle, now)
            if number is not None:
                tidings = say.low_balance(balance, listener.low_balance_fen, at=now)
                _tell(session, number, listener, tidings, now)


def _raise_and_tell(
    services: Services, account_no: str, kind: AlertKind, cycle: str, tidings: Tidings
) -> None:
    now = services.clock()
    with services.transaction() as session:
        number = _raise(session, account_no, kind, cycle, now)
        if number is None:
            return
        for listener in _listeners(session, Binding.account_no == account_no):
            _tell(session, number, listener, tidings, now)


def _raise(session: Session, account_no: str, kind: AlertKind, cycle: str, now: datetime) -> int | None:
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    row = insert(Alert).values(account_no=account_no, kind=kind, cycle=cycle, at=now)
    once = row.on_conflict_do_nothing(index_elements=["account_no", "kind", "cycle"])
    return session.scalar(once.returning(Alert.id))


def _tell(session: Session, number: int, listener: Listener, tidings: Tidings, now: datetime) -> None:
    outbox.put(
        session,
        JOB,
        f"{number}:{listener.person_id}",
        {**tidings.payload(listener.openid), "account_no": listener.account_no},
        now=now,
        due_at=by_day(now, listener.openid),
    )


def _balance(services: Services, account_no: str) -> Balance | None:
    try:
        return services.billing.balance(account_no)
    except NoSuchAccount:
        return None


def _listeners(session: Session, *where: ColumnElement[bool], limit: int | None = None) -> list[Listener]:
    threshold = func.coalesce(AlertChoice.low_balance_fen, LOW_BALANCE_FEN)
    query = (
        select(Binding.id, Person.id, Person.openid, Binding.account_no, threshold)
        .join(Person, Person.id == Binding.person_id)
        .outerjoin(AlertChoice, AlertChoice.person_id == Person.id)
        .where(Binding.unbound_at.is_(None), or_(AlertChoice.wanted.is_(None), AlertChoice.wanted), *where)
        .order_by(Binding.id)
        .limit(limit)
    )
    return [Listener(*row) for row in session.execute(query)]


def _throttled(session: Session, since: datetime, after: int) -> list[tuple[int, str, str]]:
    told = aliased(Alert)
    same = and_(
        told.account_no == Alert.account_no, told.cycle == Alert.cycle, told.kind == AlertKind.RESTORED
    )
    query = (
        select(Alert.id, Alert.account_no, Alert.cycle)
        .where(
            Alert.kind == AlertKind.THROTTLED,
            Alert.at >= since,
            Alert.id > after,
            ~select(told.id).where(same).exists(),
        )
        .order_by(Alert.id)
        .limit(STEP)
    )
    return [(number, account_no, cycle) for number, account_no, cycle in session.execute(query)]
