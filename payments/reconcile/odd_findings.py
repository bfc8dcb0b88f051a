"""Odd rows of a bill as findings: what was read around a text is listed, what was lost is asked about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from payments.reconcile.odd_rows import OddRow, OddRows
from payments.reconcile.result import Action, Finding, FundKind, Kind


def odd_rows(on: date, odd: OddRows | None) -> Iterator[Finding]:
    """Yield one finding for each odd row of the trade bill of a day; its numbers, never its text."""
    if odd is None:
        return
    for row in odd.rows:
        yield Finding(
            kind=Kind.ROW_REPAIRED if row.repaired else Kind.ROW_UNREADABLE,
            key=_key(str(on), row),
            action=Action.LISTED if row.repaired else Action.ASKED,
            facts=_facts(row),
        )
    if odd.not_kept:
        facts = {"repaired": odd.repaired, "unreadable": odd.unreadable, "not_listed": odd.not_kept}
        yield Finding(kind=Kind.ROW_UNREADABLE, key=f"{on}:more", action=Action.ASKED, facts=facts)


def odd_fund_rows(bills: Iterable[tuple[str, OddRows]]) -> Iterator[Finding]:
    """Yield one finding for each row of the fund-flow bills that was read around a text."""
    for name, odd in bills:
        for row in odd.rows:
            yield Finding(
                kind=FundKind.ROW_REPAIRED, key=_key(name, row), action=Action.LISTED, facts=_facts(row)
            )


def _key(bill: str, row: OddRow) -> str:
    return f"{bill}:{row.line or row.number}"


def _facts(row: OddRow) -> dict[str, object]:
    return {"line": row.line, "number": row.number}
