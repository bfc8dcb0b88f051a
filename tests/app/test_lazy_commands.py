"""`campusnet --help` imports the table of commands and nothing else of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.cli import main
from app.commands import COMMANDS, load
from models.values import request_id

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("sqlalchemy", "flask", "cryptography", "werobot", "pydantic", "redis", "requests", "structlog")
OURS = ("app", "models", "billing", "identity", "payments", "bot", "handlers", "web", "sandbox")
LIGHT = {"app", "app.cli", "app.commands"}

SCRIPT = """
import json, sys
from app.cli import main
sys.argv[0] = "campusnet"
try:
    main(prog_name="campusnet")
except SystemExit as ended:
    code = ended.code
sys.stdout.flush()
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def run(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Run the command in a process of its own. Returns: what it printed, and which modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    return done.stdout, set(modules)


def complete(words: str) -> tuple[str, set[str]]:
    at = str(words.count(" "))
    return run(_CAMPUSNET_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)


def is_light(modules: set[str]) -> bool:
    ours = {name for name in modules if name.split(".")[0] in OURS}
    return ours == LIGHT and not {name.split(".")[0] for name in modules} & set(HEAVY)


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    printed, modules = run(option)
    assert "campusnet" in printed
    assert is_light(modules)


def test_the_completion_of_names_imports_no_command() -> None:
    printed, modules = complete("campusnet re")
    assert [line.split(",")[1] for line in printed.splitlines()] == [
        "reconcile",
        "recover",
        "refunds",
        "restore",
        "review",
    ]
    assert is_light(modules)


def test_names_within_a_group_are_completed_as_well() -> None:
    printed, _ = complete("campusnet counter b")
    assert printed.split() == ["plain,bank", "plain,book"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_table_says_what_the_command_says(name: str) -> None:
    entry = COMMANDS[name]
    command = load(entry.target)
    assert isinstance(command, click.Command)
    assert (command.name, command.get_short_help_str(1000)) == (name, entry.short_help)
    assert not command.hidden
    shown = CliRunner().invoke(main, [name, "--help"])
    assert (shown.exit_code, f"Usage: main {name} " in shown.output) == (0, True)


def test_help_shows_every_command_with_its_first_words() -> None:
    shown = CliRunner().invoke(main, ["--help"], terminal_width=200, max_content_width=200).output
    for name, entry in COMMANDS.items():
        assert f"{name} " in shown
        assert entry.short_help.rstrip(".") in shown


def test_an_unknown_command_is_refused() -> None:
    refused = CliRunner().invoke(main, ["recharge"])
    assert (refused.exit_code, "No such command" in refused.output) == (2, True)


def test_each_command_runs_under_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def run_doctor(*_arguments: object) -> int:
        seen.append(request_id.current())
        return 0

    monkeypatch.setattr("app.doctor.run", run_doctor)
    for _ in range(2):
        assert CliRunner().invoke(main, ["doctor"]).exit_code == 0
    assert len(set(seen)) == 2
    assert all(number is not None and request_id.is_id(number) for number in seen)
    assert request_id.current() is None
