"""What an operator may decide about a review item: the shape shared by all actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from models.review import ReviewItem, ReviewKind
from models.values.actor import Actor
from payments.services import Services

# What is typed with a decision (an account number, say), and what a `prepare` found.
Details = Mapping[str, str]
Found = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """A decision that is being carried out, in the transaction that closes `item`.

    `actor` is the last of the operators who agreed; `found` is what the action's `prepare` returned.
    """

    services: Services
    session: Session
    item: ReviewItem
    actor: Actor
    details: Details = field(default_factory=dict)
    found: Found = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """One way to decide; done again it changes nothing.

    Args:
        moves_money: a second operator has to approve it.
        kinds: the items that it fits.
        carry_out: the step.
        holds_money: for actions that need a second operator only where the item holds money.
        prepare: the journey before the transaction (queries of other systems), done for the proposal
            and again for the approval: both must find the same.
        details: the names of what has to be typed with the proposal.
    """

    moves_money: bool
    kinds: frozenset[ReviewKind]
    carry_out: Callable[[Decision], None]
    holds_money: Callable[[Session, ReviewItem], bool] | None = None
    prepare: Callable[[Services, ReviewItem, Details], Found] | None = None
    details: tuple[str, ...] = ()

    def needs_two(self, session: Session, item: ReviewItem) -> bool:
        """Return True if a second operator has to approve this decision about `item`."""
        return self.moves_money or (self.holds_money is not None and self.holds_money(session, item))
