"""What `campusnet doctor` says of the books, the chains, their anchors and the database role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from app import wiring
from app.config import Config
from app.opening import open_config
from models.db import roles
from models.errors import ServiceError
from payments.audit import anchor, book_check
from payments.audit.checks.finding import Finding

SHOWN_MAX = 5
_BOOKS = "every paid fen is accounted for, balances are sums of entries, each entry has a record behind it"
# The lines of doctor, and which checks of the books stand in each.
_LINES = {
    "books": ("invariants", "balances", "entries", "ledger-chain", "openings"),
    "journal": ("journal", "journal-rows", "triggers"),
    "anchors": ("anchor",),
}
_ADVICE = {
    "books": (
        "do not repair by hand: the accounts named stay held (campusnet review list, kind BOOKS_WRONG); "
        "compare with campusnet orders show and the bank, then campusnet review propose ... release-hold"
    ),
    "journal": (
        "the database was changed past the service: keep a copy of it, compare with the last backup "
        "and the anchors, change the passwords of its roles"
    ),
    "anchors": (
        "after a restore the rows since the backup are gone: two operators confirm that (campusnet review "
        "list); otherwise treat it as a change past the service, and keep anchors.log"
    ),
}


@dataclass(frozen=True)
class BookLine:
    """One line: `state` is `well`, `warning` or `wrong`."""

    name: str
    state: str
    detail: str
    advice: str = ""


def examine(config: Config, house: wiring.House, lines: Iterable[str] = ()) -> Iterator[BookLine]:
    """Check all books without writing anything, a line for each group of checks."""
    yield from _books(config, house, lines)
    yield _role(config, house)


def run(path: Path, anchors: Path | None) -> int:
    """Check all books now as the nightly job does, with its consequences. Returns: 0 when all is well."""
    house = wiring.build(open_config(path))
    try:
        outcome = book_check.run(house.web, lines=() if anchors is None else anchor.read_lines(anchors))
    except OSError as error:
        raise click.ClickException(f"{anchors} cannot be read: {error.strerror}") from None
    except (ServiceError, SQLAlchemyError) as error:
        raise click.ClickException(f"the books could not be checked: {type(error).__name__}") from None
    finally:
        house.close()
    for check, count in sorted(outcome.failures.items()):
        click.echo(f"✗ {check}: {count}")
    click.echo(f"accounts held: {outcome.held_accounts}")
    if outcome.failures:
        click.echo("  → campusnet doctor names the places, campusnet review list has the items")
    return 1 if outcome.failures else 0


def _books(config: Config, house: wiring.House, lines: Iterable[str]) -> Iterator[BookLine]:
    line_of = {check: name for name, checks in _LINES.items() for check in checks}
    found: dict[str, list[Finding]] = {name: [] for name in _LINES}
    more: dict[str, int] = dict.fromkeys(_LINES, 0)
    try:
        for finding in book_check.findings(house.web, lines=lines):
            name = line_of[finding.check]
            more[name] += 1
            if len(found[name]) < SHOWN_MAX:
                found[name].append(finding)
    except (ServiceError, SQLAlchemyError, OSError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"[:300]
        yield BookLine("books", "wrong", text, "campusnet db upgrade; check [database] url")
        return
    fine = {
        "books": BookLine("books", "well", _BOOKS),
        "journal": _journal(config),
        "anchors": _anchored(config),
    }
    for name in _LINES:
        if found[name]:
            yield BookLine(name, "wrong", _text(found[name], more[name]), _ADVICE[name])
        else:
            yield fine[name]


def _text(findings: list[Finding], count: int) -> str:
    said = "; ".join(finding.detail for finding in findings)
    return f"{said}; and {count - len(findings)} more" if count > len(findings) else said


def _journal(config: Config) -> BookLine:
    if config.audit.key.get_secret_value():
        return BookLine("journal", "well", "the journal is as sealed, with a key that is not in the database")
    return BookLine(
        "journal",
        "warning",
        "the journal is as sealed, but without a key: who writes to the database can compute the seals again",
        "campusnet init --audit-key",
    )


def _anchored(config: Config) -> BookLine:
    if config.audit.anchor_dir is not None or config.audit.anchor_command:
        return BookLine("anchors", "well", "the heads of the chains are where they were anchored")
    return BookLine(
        "anchors",
        "warning",
        "the heads of the chains never leave the database: rows cut off at the end are not missed",
        "set [audit] anchor_dir or anchor_command",
    )


def _role(config: Config, house: wiring.House) -> BookLine:
    if house.database.dialect != "postgresql":
        return BookLine("role", "well", "SQLite has no roles: the file belongs to the user of the service")
    try:
        with house.database.connection() as connection:
            weak = roles.weaknesses(connection)
    except SQLAlchemyError as error:
        return BookLine("role", "wrong", f"{type(error).__name__}"[:300], "check [database] url")
    if not weak:
        return BookLine("role", "well", "the service may add to the journal and the ledger, not change them")
    advice = "give the service a role of its own: deploy/README.md, then campusnet db upgrade"
    # With one role for everything the service goes on working.
    state = "wrong" if config.database.owner_url else "warning"
    return BookLine("role", state, "; ".join(weak), advice)
