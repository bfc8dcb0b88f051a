"""What an operator may decide about a review item: the shape shared by all actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.review import ReviewItem, ReviewKind
from payments.services import Services


@dataclass(frozen=True)
class Decision:
    """A decision that is being carried out, in the transaction that closes `item`."""

    services: Services
    session: Session
    item: ReviewItem
    actor: str


@dataclass(frozen=True)
class Action:
    """One way to decide. `moves_money` requires a second approver; done again it changes nothing."""

    moves_money: bool
    kinds: frozenset[ReviewKind]
    carry_out: Callable[[Decision], None]
