"""The table of commands, and a group that imports a command only when it runs.

Help, version and completion of names need the table alone: importing every command takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

# The width of a help text in a shell's list of names.
COMPLETION_WIDTH = 80


@dataclass(frozen=True)
class Entry:
    """One command: `target` is `module:attribute`, `short_help` the first sentence of its docstring."""

    target: str
    short_help: str


COMMANDS: Mapping[str, Entry] = {
    "accounting": Entry(
        "app.accounting:accounting_group", "Accounting records of the network: who used how much, when."
    ),
    "accounts": Entry(
        "app.accounts:accounts_group",
        "Accounts: adjusting entries and closings, requested by one operator, approved by another.",
    ),
    "backup": Entry(
        "app.backup.command:backup_command",
        "Back up the database and the configuration without secrets, and verify it.",
    ),
    "broadcast": Entry(
        "app.broadcasting:broadcast_group",
        "Notices: shown under 公告, and sent to everybody, a tag or a list.",
    ),
    "counter": Entry(
        "app.counting:counter_group",
        "The counter: top-ups in cash or by transfer, what goes back, the day's end.",
    ),
    "db": Entry("app.commands.database:database_group", "The database."),
    "demo": Entry(
        "app.commands.demo:demo",
        "Run everything on this machine, with a simulated WeChat; settings by environment (see README).",
    ),
    "doctor": Entry(
        "app.commands.doctor:doctor",
        "Check configuration, database, books, Redis, keys and WeChat, and say how to repair what is wrong.",
    ),
    "grants": Entry(
        "app.ruling:grants_group", "The free traffic of each month, by user group; times are campus time."
    ),
    "import": Entry(
        "app.moving_in:import_command", "Open accounts from a table: `campusnet import FILE --by NAME`."
    ),
    "init": Entry(
        "app.commands.init:init", "Write a configuration file to start from, with fresh random secrets."
    ),
    "menu": Entry("app.commands.menu:menu_group", "The menu of the official account."),
    "orders": Entry("app.commands.orders:orders_group", "Orders and what became of them."),
    "packages": Entry(
        "app.packaging:packages_group",
        "Packages and specials of the embedded billing engine; times are campus time.",
    ),
    "payouts": Entry(
        "app.paying_out:payouts_group", "Money out: previewed, requested by one person, approved by another."
    ),
    "reconcile": Entry(
        "app.reconciling:reconcile_group",
        "Compare WeChat's bill, our orders and billing's credits of one day.",
    ),
    "recover": Entry(
        "app.backup.command:recover_command",
        "Rebuild what happened after the backup from what WeChat Pay has; again changes nothing.",
    ),
    "refunds": Entry(
        "app.refunding:refunds_group", "Money back: requested by one person, approved by another."
    ),
    "restore": Entry(
        "app.backup.command:restore_command",
        "Fill the configured, empty database from a backup; then run `campusnet recover`.",
    ),
    "review": Entry(
        "app.reviewing:review_group",
        "What only a person can decide; two persons for anything that moves money.",
    ),
    "rules": Entry(
        "app.ruling:rules_group", "What the fee rules leave open (docs/policy.md); times are campus time."
    ),
    "sandbox": Entry(
        "app.commands.demo:sandbox",
        "Run the simulated WeChat by itself (arguments as of `python -m sandbox`).",
    ),
    "serve": Entry("app.commands.serve:serve", "Run the web side: WeChat pushes, payment callbacks, pages."),
    "worker": Entry("app.commands.worker:worker", "Run one background worker; start as many as you like."),
}


class LazyGroup(click.Group):
    """A group whose commands stand in a table; each is imported when it is called, or asked for its own help.

    Args:
        table: the commands by name.
    """

    def __init__(self, *arguments: Any, table: Mapping[str, Entry], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the table."""
        del ctx
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name."""
        del ctx
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        found = load(entry.target)
        if not isinstance(found, click.Command):
            raise TypeError(f"{entry.target} is not a command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        rows = [(name, self._short_help(name, width)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names from the table, and options."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self._short_help(name, COMPLETION_WIDTH)) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command under an id of its own: in its log lines, and in the work that it enqueues."""
        ids: Any = import_module("models.values.request_id")
        with ids.bound(ids.new()):
            return super().invoke(ctx)

    def _short_help(self, name: str, width: int) -> str:
        """Return the text of the table, cut as click cuts it."""
        return click.Command(name, help=self._table[name].short_help).get_short_help_str(width)


def load(target: str) -> Any:
    """Import `module:attribute`."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
