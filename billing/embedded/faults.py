"""A database that does not answer, in the words of the interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.db.engine import NO_ANSWER
from models.errors import Unavailable, Unknown


@contextmanager
def looking() -> Iterator[None]:
    """Nothing was to be changed: a database that does not answer is Unavailable."""
    try:
        yield
    except NO_ANSWER as error:
        raise Unavailable("the billing database does not answer") from error


@contextmanager
def changing() -> Iterator[None]:
    """The commit may have arrived before the line broke: Unknown, to be asked about."""
    try:
        yield
    except NO_ANSWER as error:
        raise Unknown("the billing database stopped answering") from error
