"""`campusnet accounting`: records from a file, and invented ones for a demo."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from app import wiring
from app.config import Config
from app.opening import config_option, open_config
from app.sending import send_all
from billing.embedded.accounting import BATCH, Accounting, batches
from billing.embedded.accounts import some_accounts
from billing.embedded.dead_letters import figures, waiting
from billing.embedded.ingest import Outcome
from billing.embedded.traffic import demo_records
from models.errors import Forged, Unavailable

# Enough to see what is wrong with a file; all of them could be a million.
SHOWN_MAX = 20
_NOT_COUNTED = (Outcome.MALFORMED, Outcome.NO_ACCOUNT)


@click.group("accounting")
def accounting_group() -> None:
    """Accounting records of the network: who used how much, when."""


@accounting_group.command("import")
@config_option
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
def import_file(config_path: Path, source: Path) -> None:
    """Count the records of FILE: CSV with a header, else one JSON object a line.

    The fields are those of the entrance /billing/accounting. A file may be imported again: nothing
    counts twice. Records without received_at are believed to have been sent when they say. What cannot
    be counted is kept (`dead-letters`) and can be replayed.
    """
    house = wiring.build(open_config(config_path))
    try:
        counts = take_all(house.accounting, read_file(source))
    except Unavailable as error:
        raise click.ClickException(f"{error}: import the file again, nothing counts twice") from None
    finally:
        house.close()
    _say(counts)
    if any(counts[outcome] for outcome in _NOT_COUNTED):
        raise SystemExit(1)


@accounting_group.command("dead-letters")
@config_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--reason", help="Only those kept for this reason.")
def show_dead_letters(config_path: Path, limit: int, reason: str | None) -> None:
    """Show records that were received and not counted, the newest first, one JSON object a line.

    They hold account numbers: do not copy them into tickets.
    """
    house = wiring.build(open_config(config_path))
    try:
        with house.database.reading() as session:
            shown = waiting(session, reason=reason, limit=limit, newest=True)
    finally:
        house.close()
    for one in shown:
        values = {
            "id": one.id,
            "reason": one.reason,
            "received_at": one.received_at.isoformat(),
            "source": one.source,
            "whole": one.whole,
            "attributes": json.loads(one.attributes),
        }
        click.echo(json.dumps(values, ensure_ascii=True))


@accounting_group.command()
@config_option
@click.option("--reason", help="Only those kept for this reason.")
def replay(config_path: Path, reason: str | None) -> None:
    """Count kept records whose reason is gone, say after accounts were imported; may run again.

    A record counts once, however often it is replayed or sent again.
    """
    house = wiring.build(open_config(config_path))
    try:
        counts = house.accounting.replay(reason)
    except Unavailable as error:
        raise click.ClickException(f"{error}: replay again, nothing counts twice") from None
    finally:
        house.close()
    _say(counts)


@accounting_group.command()
@config_option
def summary(config_path: Path) -> None:
    """Say what waits uncounted, by reason, and how many reports 32-bit counters left in doubt, by server.

    In doubt means: the counter fell by less than half, so that it came round or went back, and nothing
    was charged. Let the servers send gigawords, or report more often.
    """
    house = wiring.build(open_config(config_path))
    try:
        with house.database.reading() as session:
            found = figures(session)
    finally:
        house.close()
    click.echo(f"not counted: {sum(found.dead_letters.values())}")
    for reason, number in sorted(found.dead_letters.items()):
        click.echo(f"  {reason}: {number}")
    click.echo(f"in doubt, decided for the student: {sum(found.in_doubt.values())}")
    for nas, number in sorted(found.in_doubt.items()):
        click.echo(f"  {nas}: {number}")


@accounting_group.command()
@config_option
@click.option("--days", default=2, show_default=True, help="How many campus days, today included.")
@click.option("--seed", default=1, show_default=True, help="The same seed invents the same traffic.")
@click.option("--accounts", default=20, show_default=True, help="For how many accounts.")
def demo(config_path: Path, days: int, seed: int, accounts: int) -> None:
    """Invent traffic up to now; call it again to go on. Refused in production."""
    house = wiring.build(_demo_config(config_path))
    with house.database.reading() as session:
        found = some_accounts(session, limit=accounts)
    now = house.web.clock()
    records = demo_records(found, seed=seed, since=now - timedelta(days=days - 1), until=now)
    _say(take_all(house.accounting, enumerate(records, 1)))
    house.close()


@accounting_group.command()
@config_option
@click.option("--every", "every_s", default=60, show_default=True, help="Seconds between two reports.")
@click.option("--once", is_flag=True, help="Stop after the first report.")
@click.option("--days", default=2, show_default=True, help="How many campus days at first, today included.")
@click.option("--seed", default=1, show_default=True, help="The same seed invents the same traffic.")
@click.option("--accounts", default=20, show_default=True, help="For how many accounts.")
def traffic(config_path: Path, every_s: int, days: int, seed: int, accounts: int, *, once: bool) -> None:
    """Send the traffic of `demo` to a running campusnet, over HTTP and signed, as a network does.

    It goes on until it is stopped. Refused in production.
    """
    config = _demo_config(config_path)
    secret = config.billing.embedded.accounting_secret.get_secret_value()
    house = wiring.build(config)
    with house.database.reading() as session:
        found = some_accounts(session, limit=accounts)
    clock = house.web.clock
    house.close()
    sent_until_s = 0.0
    while True:
        until = clock()
        invented = demo_records(found, seed=seed, since=until - timedelta(days=days - 1), until=until)
        news = (record for record in invented if record["event_at"] > sent_until_s)
        try:
            _say(send_all(config.site.base_url, secret, news, clock=clock))
            sent_until_s = until.timestamp()
        except Forged as error:
            raise click.ClickException(str(error)) from None
        except Unavailable as error:
            # The next report sends it again, and nothing counts twice.
            click.echo(str(error), err=True)
        if once:
            raise SystemExit(0 if sent_until_s else 1)
        time.sleep(every_s)


def take_all(accounting: Accounting, records: Iterable[tuple[int, Any]]) -> Counter[str]:
    """Count numbered records batch by batch, in flat memory; what was not counted is shown by its number.

    Returns: how many had which outcome. Raises: Unavailable.
    """
    counts: Counter[str] = Counter()
    shown = 0
    for batch in batches(records, BATCH):
        answers = accounting.take([record for _, record in batch], source="file")
        counts.update(answer.outcome for answer in answers)
        for (number, _), answer in zip(batch, answers, strict=True):
            if answer.outcome in _NOT_COUNTED and shown < SHOWN_MAX:
                shown += 1
                click.echo(f"line {number}: {answer.outcome} {answer.field or ''}".rstrip(), err=True)
    return counts


def read_file(source: Path) -> Iterator[tuple[int, Any]]:
    """Records with the numbers of their lines; a line that is no record is its text."""
    with source.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        if source.suffix.lower() == ".csv":
            rows = csv.DictReader(lines)
            try:
                for row in rows:
                    yield rows.line_num, _with_receipt(row)
            except csv.Error as error:
                raise click.ClickException(f"line {rows.line_num}: {error}") from None
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _with_receipt(_parsed(line))


def _demo_config(path: Path) -> Config:
    config = open_config(path)
    if config.mode == "production":
        raise click.ClickException("mode is production: invented traffic would be billed")
    return config


def _say(counts: Counter[str]) -> None:
    click.echo(", ".join(f"{name}: {number}" for name, number in sorted(counts.items())) or "no records")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip("\r\n")


def _with_receipt(record: Any) -> Any:
    # A file is read long after the event: measured by now, every clock would be wrong.
    if not isinstance(record, dict) or record.get("received_at"):
        return record
    try:
        return record | {"received_at": int(record["event_at"]) + int(record.get("delay_s") or 0)}
    except (KeyError, TypeError, ValueError, OverflowError):
        return record
