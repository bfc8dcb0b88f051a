"""The `campusnet` command: each subcommand is one call into the house."""

from __future__ import annotations

import runpy
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType

import click
from sqlalchemy import make_url

from app import config as configuration
from app import demo as demonstration
from app import doctor as diagnosis
from app import doctor_books, metrics, setup_file, wiring
from app.account_check import equal_accounts
from app.accounting import accounting_group
from app.accounts import accounts_group
from app.broadcasting import broadcast_group
from app.counting import counter_group
from app.listing import describe_order, list_orders
from app.moving_in import import_command
from app.opening import DEFAULT_CONFIG, config_option, open_config
from app.packaging import packages_group
from app.paying_out import payouts_group
from app.reconciling import reconcile_group
from app.refunding import refunds_group
from app.reviewing import review_group
from app.ruling import grants_group, rules_group
from app.server import Server
from billing.embedded import seed
from models import schema
from models.db import roles
from models.db.engine import Database
from models.errors import ServiceError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="campusnet")
def main() -> None:
    """桂电校园网 on WeChat: balance, recharge, packages, notices."""


@main.command()
@config_option
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Address and port to listen on.")
@click.option("--processes", default=2, show_default=True, help="How many processes.")
@click.option("--threads", default=8, show_default=True, help="Threads in each process.")
def serve(config_path: Path, bind: str, processes: int, threads: int) -> None:
    """Run the web side: WeChat pushes, payment callbacks, pages."""
    open_config(config_path)
    Server(partial(configuration.load, config_path), bind=bind, processes=processes, threads=threads).run()


@main.command()
@config_option
def worker(config_path: Path) -> None:
    """Run one background worker; start as many as you like."""
    house = wiring.build(open_config(config_path))
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if house.config.metrics.bind:
        metrics.serve(house.database, house.web.clock, house.config.metrics.bind)
    house.worker().run(stopped)
    house.close()


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Run the simulated WeChat by itself (arguments as of `python -m sandbox`)."""
    sys.argv = ["sandbox", *context.args]
    runpy.run_module("sandbox", run_name="__main__")


@main.command()
def demo() -> None:
    """Run everything on this machine, with a simulated WeChat; settings by environment (see README)."""
    sys.exit(demonstration.run(demonstration.Options.from_environment()))


@main.command()
@click.option("--to", "target", type=click.Path(path_type=Path), default=DEFAULT_CONFIG, show_default=True)
@click.option("--audit-key", is_flag=True, help="Make a new audit key for the installation of this file.")
@click.option("--lost-key", is_flag=True, help="With --audit-key: the present key is gone with all copies.")
def init(target: Path, *, audit_key: bool, lost_key: bool) -> None:
    """Write a configuration file to start from, with fresh random secrets."""
    if audit_key:
        path, named = setup_file.begin_audit_key(target, is_lost=lost_key)
        click.echo(f"wrote {path}: keep a copy away from this machine")
        if not named:
            click.echo(f'write into the table [audit] of {target}: key_file = "{path.name}"')
        click.echo("then restart web and workers: they seal nothing until they have the new key")
        return
    setup_file.write_example(target)
    click.echo(f"wrote {target}: fill in the values marked with <…>, then run: campusnet doctor")
    click.echo(f"wrote {target.parent / setup_file.KEY_FILE}: keep a copy away from this machine")


@main.group()
def db() -> None:
    """The database."""


@db.command()
@config_option
def upgrade(config_path: Path) -> None:
    """Create or upgrade the tables, and the catalogue of the fee table where there is none.

    With [database] owner_url it runs as the owner, and gives the role of the service its privileges.
    """
    config = open_config(config_path)
    section = config.database
    database = Database(section.owner_url or section.url)
    try:
        schema.upgrade(database)
        with database.transaction() as session:
            seed.seed_catalogue(session)
        if section.owner_url and database.dialect == "postgresql":
            role = make_url(section.url).username or ""
            roles.grant(database, role)
            click.echo(f"privileges of {role} are up to date")
        for line in equal_accounts(database, wiring.account_rules_of(config)):
            click.echo(line, err=True)
    except roles.RoleMissing as error:
        raise click.ClickException(f"{error} (deploy/README.md)") from None
    finally:
        database.dispose()
    click.echo("database is up to date")


@main.group()
def menu() -> None:
    """The menu of the official account."""


@menu.command()
@config_option
def push(config_path: Path) -> None:
    """Replace the menu by ours; phones show it within five minutes."""
    house = wiring.build(open_config(config_path))
    try:
        house.push_menu()
    except ServiceError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    finally:
        house.close()
    click.echo("menu pushed")


@main.group()
def orders() -> None:
    """Orders and what became of them."""


@orders.command("list")
@config_option
@click.option("--limit", default=20, show_default=True)
def orders_list(config_path: Path, limit: int) -> None:
    """The newest orders."""
    for line in list_orders(Database(open_config(config_path).database.url), limit):
        click.echo(line)


@orders.command("show")
@config_option
@click.argument("number")
def orders_show(config_path: Path, number: str) -> None:
    """One order from prepay to the ledger, by order, payment, transaction or refund number."""
    found = describe_order(Database(open_config(config_path).database.url), number)
    if found is None:
        raise click.ClickException(f"no order {number}")
    click.echo("\n".join(found))


@main.command()
@config_option
@click.option("--books", is_flag=True, help="Only the books, with the consequences of the nightly check.")
@click.option(
    "--anchors",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with anchor lines that were kept elsewhere (a mailbox, a remote log).",
)
def doctor(config_path: Path, anchors: Path | None, *, books: bool) -> None:
    """Check configuration, database, books, Redis, keys and WeChat, and say how to repair what is wrong.

    With --books a finding becomes a review item and holds the payouts and refunds of its accounts.
    """
    sys.exit(doctor_books.run(config_path, anchors) if books else diagnosis.run(config_path, anchors))


main.add_command(accounting_group)
main.add_command(accounts_group)
main.add_command(broadcast_group)
main.add_command(packages_group)
main.add_command(counter_group)
main.add_command(grants_group)
main.add_command(import_command)
main.add_command(payouts_group)
main.add_command(reconcile_group)
main.add_command(refunds_group)
main.add_command(review_group)
main.add_command(rules_group)


if __name__ == "__main__":
    main()
