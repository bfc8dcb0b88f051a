"""What a check of the books found: one thing that is wrong, the place, and the accounts concerned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        check: which check found it, at most 24 characters.
        subject: the place: a journal row, an entry key, an account. It stays the same while the
            trouble lasts, with `detail`: a finding whose detail changes is a new one.
        accounts: whose money is held; empty and `holds`: everybody's, which ones were touched is unknown.
        holds: False for what an outage explains too.
    """

    check: str
    subject: str
    detail: str
    accounts: tuple[str, ...] = ()
    holds: bool = True
