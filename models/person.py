"""A WeChat user and the campus account bound to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, bindparam, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.engine import Database
from models.prepared import Prepared


class Person(Base):
    """Somebody who follows, or once followed, the official account. No nickname, no picture.

    `scene` is the QR code (building, campaign) that brought them. `follow_event_at` is WeChat's time of the
    last event about following or leaving: an older event that arrives later changes nothing.
    """

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    openid: Mapped[str] = mapped_column(String(64), unique=True)
    scene: Mapped[str | None] = mapped_column(String(64))
    followed_at: Mapped[datetime | None]
    unfollowed_at: Mapped[datetime | None]
    follow_event_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Binding(Base):
    """One stretch of time in which a person had proved to own an account.

    At most one open stretch per person (partial unique index); an account may be bound by
    several people, and each new one is told to the earlier ones.
    """

    __tablename__ = "binding"
    __table_args__ = (
        Index(
            "uq_binding_open",
            "person_id",
            unique=True,
            sqlite_where=text("unbound_at IS NULL"),
            postgresql_where=text("unbound_at IS NULL"),
        ),
        Index("ix_binding_account_open", "account_no", "unbound_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    account_no: Mapped[str] = mapped_column(String(32))
    bound_at: Mapped[datetime]
    unbound_at: Mapped[datetime | None]


def find_person(session: Session, openid: str) -> Person | None:
    """The person with this openid, or None."""
    return session.scalar(select(Person).where(Person.openid == openid))


def ensure_person(session: Session, openid: str, now: datetime) -> Person:
    """The person with this openid, created when new."""
    person = find_person(session, openid)
    if person is not None:
        return person
    try:
        # Flushed at its end: the id is needed by whoever refers to the new person.
        with session.begin_nested():
            person = Person(openid=openid, created_at=now)
            session.add(person)
    except IntegrityError:
        # Somebody new does two things at once, and the other transaction was faster.
        person = find_person(session, openid)
        if person is None:
            raise
    return person


def follow(
    session: Session, openid: str, scene: str | None, now: datetime, *, at: datetime | None = None
) -> bool:
    """Note that the person follows the account; the first scene is kept, a new one replaces it.

    Args:
        at: WeChat's time of the event, by default `now`.
    Returns: False if a later event is known; nothing was changed.
    """
    ensure_person(session, openid, now)
    values: dict[str, object] = {"followed_at": now, "unfollowed_at": None}
    if scene:
        values["scene"] = scene[:64]
    return _move_on(session, openid, now if at is None else at, values)


def unfollow(session: Session, openid: str, now: datetime, *, at: datetime | None = None) -> bool:
    """Forget what is not needed: end the binding, drop the scene. Orders stay, by openid only.

    Args:
        at: WeChat's time of the event, by default `now`.
    Returns: False if a later event is known; nothing was changed.
    """
    if find_person(session, openid) is None:
        return True
    if not _move_on(session, openid, now if at is None else at, {"unfollowed_at": now, "scene": None}):
        return False
    unbind(session, openid, now)
    return True


def _move_on(session: Session, openid: str, at: datetime, values: dict[str, object]) -> bool:
    """Change the person unless a later event did; of two in one second the one that arrives last counts."""
    move = (
        update(Person)
        .where(Person.openid == openid, or_(Person.follow_event_at.is_(None), Person.follow_event_at <= at))
        .values(follow_event_at=at, **values)
        .returning(Person.id)
    )
    return session.scalar(move, execution_options={"synchronize_session": "fetch"}) is not None


_BOUND = Prepared(
    select(Binding.account_no)
    .join(Person, Person.id == Binding.person_id)
    .where(Person.openid == bindparam("openid"), Binding.unbound_at.is_(None))
)


def look_up_bound_account(database: Database, openid: str) -> str | None:
    """As `bound_account`, for the hot path: one prepared read of its own."""
    rows = database.look(_BOUND, openid=openid)
    return rows[0][0] if rows else None


def bound_account(session: Session, openid: str) -> str | None:
    """The account number this person has proved to own, or None."""
    return session.scalar(
        select(Binding.account_no)
        .join(Person, Person.id == Binding.person_id)
        .where(Person.openid == openid, Binding.unbound_at.is_(None))
    )


def bound_accounts(session: Session, openids: Collection[str]) -> dict[str, str]:
    """Account numbers by openid, of those who have proved to own one, in one query."""
    query = (
        select(Person.openid, Binding.account_no)
        .join(Binding, Binding.person_id == Person.id)
        .where(Person.openid.in_(openids), Binding.unbound_at.is_(None))
    )
    return {row.openid: row.account_no for row in session.execute(query)} if openids else {}


def openids_of(session: Session, account_no: str) -> list[str]:
    """Everybody who has this account bound now: they have proved to own it."""
    query = (
        select(Person.openid)
        .join(Binding, Binding.person_id == Person.id)
        .where(Binding.account_no == account_no, Binding.unbound_at.is_(None))
    )
    return list(session.scalars(query.order_by(Person.id)))


def bind(session: Session, openid: str, account_no: str, now: datetime) -> list[str]:
    """Bind the account to the person, ending an earlier binding of that person.

    Returns: the openids that had this account bound before, to be told; empty when nothing changed.
    """
    person = ensure_person(session, openid, now)
    if bound_account(session, openid) == account_no:
        return []
    others = openids_of(session, account_no)
    unbind(session, openid, now)
    session.add(Binding(person_id=person.id, account_no=account_no, bound_at=now))
    return others


@dataclass(frozen=True)
class BindingRecord:
    """One stretch of a binding as the account's owner sees it: of the openid only its last characters."""

    id: int
    openid_tail: str
    bound_at: datetime
    unbound_at: datetime | None


RECORDS_MAX = 50
_TAIL_CHARS = 6


def binding_records(session: Session, account_no: str) -> list[BindingRecord]:
    """Return the bindings of an account, those in force first, then the newest; at most 50."""
    query = (
        select(Binding.id, Person.openid, Binding.bound_at, Binding.unbound_at)
        .join(Person, Person.id == Binding.person_id)
        .where(Binding.account_no == account_no)
        .order_by(Binding.unbound_at.is_not(None), Binding.id.desc())
        .limit(RECORDS_MAX)
    )
    return [
        BindingRecord(row.id, row.openid[-_TAIL_CHARS:], row.bound_at, row.unbound_at)
        for row in session.execute(query)
    ]


def end_binding(session: Session, account_no: str, binding_id: int, now: datetime) -> str | None:
    """End one binding of this account. Returns: the openid that was bound, or None if there is none."""
    ended = (
        update(Binding)
        .where(Binding.id == binding_id, Binding.account_no == account_no, Binding.unbound_at.is_(None))
        .values(unbound_at=now)
        .returning(Binding.person_id)
    )
    person_id = session.scalar(ended, execution_options={"synchronize_session": False})
    return None if person_id is None else session.get_one(Person, person_id).openid


def unbind(session: Session, openid: str, now: datetime) -> str | None:
    """End the person's binding. Returns: the account number that was bound, or None."""
    account_no = bound_account(session, openid)
    if account_no is None:
        return None
    person_id = select(Person.id).where(Person.openid == openid).scalar_subquery()
    session.execute(
        update(Binding)
        .where(Binding.person_id == person_id, Binding.unbound_at.is_(None))
        .values(unbound_at=now)
        .execution_options(synchronize_session=False)
    )
    return account_no
