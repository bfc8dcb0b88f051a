"""State machines: the one guarded UPDATE that changes a state, and the event row that explains it.

Every stateful table declares a `StateMachine`; `guarded_move` is the only code that writes its column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Index,
    String,
    inspect,
    literal_column,
    text,
    update,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.errors import Conflict, IllegalTransition

CAUSE_MAX = 64

S = TypeVar("S", bound=StrEnum)

# The states in which a call to billing has taken effect. Written out, so that the index serves it.
_APPLIED = text("new IN ('DONE', 'WITHDRAWN', 'LATE', 'TAKEN_BACK', 'RETURNED')")


class StateEvent(Base):
    """One state change of one row: `subject` is the machine's name, `subject_id` the row's id."""

    __tablename__ = "state_event"
    __table_args__ = (
        Index("ix_state_event_subject", "subject", "subject_id", "id"),
        # Reconciliation reads what was applied at billing on one day.
        Index("ix_state_event_applied", "at", sqlite_where=_APPLIED, postgresql_where=_APPLIED),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subject: Mapped[str] = mapped_column(String(24))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    old: Mapped[str] = mapped_column(String(16))
    new: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(String(CAUSE_MAX))
    at: Mapped[datetime]


APPLIED: ColumnElement[bool] = literal_column(f"state_event.{_APPLIED.text}", type_=Boolean())


class MakeEvent(Protocol):
    """Build the event row of one move."""

    def __call__(self, row: Any, old: StrEnum, new: StrEnum, *, cause: str, now: datetime) -> Base:
        """Return the row to insert in the same transaction as the move."""
        ...


@dataclass(frozen=True)
class StateMachine(Generic[S]):
    """The states of one table.

    Args:
        name: of the machine, at most 24 characters; stands in events and errors.
        label: what an operator calls it, in Chinese.
        model: the mapped class.
        states: the enum of `column`.
        transitions: allowed moves; a state that is not a key is final.
        number: attribute with the row's business number, for error texts.
        column: attribute that holds the state.
        event: builds the event row; a `StateEvent` by default.
        refusal: for machines that operators drive: the text of the IllegalTransition that an operator
            gets who decides what is decided already, also when another one was a moment faster.
    """

    name: str
    label: str
    model: type[Base]
    states: type[S]
    transitions: Mapping[S, frozenset[S]]
    number: str
    column: str = "status"
    event: MakeEvent | None = None
    refusal: str | None = None

    def state_of(self, row: Base) -> S:
        """Return the state that the loaded row has."""
        return self.states(getattr(row, self.column))

    def allows(self, old: S, new: S) -> bool:
        """Return True if the table has this move."""
        return new in self.transitions.get(old, frozenset())


def guarded_move(
    session: Session,
    machine: StateMachine[S],
    row: Base,
    new: S,
    *,
    cause: str,
    now: datetime,
    **values: Any,
) -> None:
    """Move `row` from its loaded state to `new` and write the event row, in this transaction.

    One UPDATE guarded by primary key and old state; `values` are set in the same statement. Pending
    changes of the row are flushed first: they belong to the state that the row leaves. The row is
    refreshed afterwards.

    Raises:
        IllegalTransition: the transition table has no such move.
        Conflict: another transaction moved the row first (IllegalTransition where the machine has a
            `refusal`).
    """
    old = machine.state_of(row)
    if not machine.allows(old, new):
        raise IllegalTransition(machine.refusal or f"{machine.label}状态为 {old}，不能变为 {new}")
    mapper = inspect(machine.model)
    session.flush()
    statement = update(machine.model).where(
        *(column == getattr(row, mapper.get_property_by_column(column).key) for column in mapper.primary_key),
        getattr(machine.model, machine.column) == old,
    )
    if rows_changed(session, statement.values({machine.column: new, **values})) != 1:
        if machine.refusal:
            raise IllegalTransition(machine.refusal)
        raise Conflict(f"{machine.name} {getattr(row, machine.number)} left {old}")
    make_event = machine.event or _state_event(machine.name)
    session.add(make_event(row, old, new, cause=cause[:CAUSE_MAX], now=now))
    session.refresh(row)


def _state_event(subject: str) -> MakeEvent:
    def make(row: Any, old: StrEnum, new: StrEnum, *, cause: str, now: datetime) -> Base:
        subject_id = inspect(row).identity[0]
        return StateEvent(subject=subject, subject_id=subject_id, old=old, new=new, cause=cause, at=now)

    return make


def rows_changed(session: Session, statement: Any) -> int:
    """Execute an UPDATE or DELETE. Returns: the number of rows it touched."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount if isinstance(result, CursorResult) else 0
