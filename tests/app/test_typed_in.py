"""Names and card numbers: read from a terminal or from standard input, refused as arguments."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from app.cli import main
from app.typed_in import LINE_BYTES_MAX, Asked, personal, read_typed

ROOT = Path(__file__).parent.parent.parent
NAME, CARD = "欧阳一一", "6222000012345678"
BY = ("--by", "anna")
# command -> the options that it had once
ONCE = {
    ("counter", "book"): ("--name",),
    ("counter", "bank", "assign"): ("--name",),
    ("payouts", "request"): ("--name", "--card"),
    ("payouts", "card"): ("--name", "--card"),
}
REFUSED = [(words, option) for words, options in ONCE.items() for option in options]


def run(*words: str) -> Result:
    # A configuration that is not there: what is refused must be refused before anything is opened.
    return CliRunner().invoke(
        main, [*words, "--config", "/nonexistent/config.toml"], input=f"{NAME}\n{CARD}\n"
    )


@pytest.mark.parametrize(("words", "option"), REFUSED)
@pytest.mark.parametrize("value", [NAME, CARD, "=", ""])
@pytest.mark.parametrize("form", ["apart", "joined", "first", "alone"])
def test_the_options_of_before_are_refused_with_the_hint(
    words: tuple[str, ...], option: str, value: str, form: str
) -> None:
    given_as = {
        "apart": (*words, "1", *BY, option, value),
        "joined": (*words, "1", *BY, f"{option}={value}"),
        "first": (*words, option, value, "1"),
        "alone": (*words, "1", *BY, option),
    }
    refused = run(*given_as[form])
    assert refused.exit_code == 2
    assert f"去掉 {option}，按提示输入；脚本从标准输入送入" in refused.output
    assert NAME not in refused.output
    assert CARD not in refused.output


@pytest.mark.parametrize(
    "words",
    [("counter", "bank", "assign", "not-a-number", "1"), ("counter", "book", "1", "--way", "nothing")],
)
def test_the_hint_comes_before_any_other_complaint(words: tuple[str, ...]) -> None:
    refused = run(*words, "--name", NAME)
    assert (refused.exit_code, "去掉 --name" in refused.output) == (2, True)


@pytest.mark.parametrize("words", ONCE)
def test_help_does_not_know_them(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*words, "--help"]).output
    assert "--name" not in shown
    assert "--card" not in shown
    assert "standard input" in shown.replace("\n ", "")


def test_no_other_command_takes_a_name_or_a_card() -> None:
    found = set()

    def walk(group: click.Group, prefix: tuple[str, ...]) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            for parameter in command.params:
                if {"name", "card", "payee", "bank_account", "student"} & {
                    parameter.name or "",
                    *(text.strip("-") for text in parameter.opts),
                }:
                    found.add((*prefix, name))
            if isinstance(command, click.Group):
                walk(command, (*prefix, name))

    walk(main, ())
    # The name of a package is no secret.
    assert found - {("packages", "special"), ("packages", "add")} == set(ONCE)


@click.command()
@personal(Asked("--name", "户名", blank="可不填"), Asked("--card", "银行卡号"))
def probe() -> None:
    click.echo(repr(read_typed(Asked("--name", "户名", blank="可不填"), Asked("--card", "银行卡号"))))


def probed(typed: bytes) -> Result:
    return CliRunner().invoke(probe, input=typed)


LINES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@given(LINES, LINES, st.sampled_from(["\n", "\r\n", " \n"]), st.sampled_from(["", "more\n"]))
def test_one_line_each_is_read_as_it_stands(name: str, card: str, end: str, rest: str) -> None:
    assert probed(f"{name}{end}{card}{end}{rest}".encode()).output == f"{[name, card]!r}\n"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (f"{NAME}\n{CARD}".encode(), [NAME, CARD]),
        (f"\ufeff{NAME}\n{CARD}\n".encode(), [NAME, CARD]),
        (f"\n{CARD}\n".encode(), ["", CARD]),
    ],
)
def test_ends_marks_and_blank_lines(typed: bytes, wanted: list[str]) -> None:
    assert probed(typed).output == f"{wanted!r}\n"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (b"", "缺少第 2 行：银行卡号"),
        (f"{NAME}\n".encode(), "缺少第 2 行：银行卡号"),
        (f"{NAME}\n \n".encode(), "缺少第 2 行：银行卡号"),
        (f"{NAME}\n{CARD}\n".encode("gb18030"), "第 1 行（户名）不是 UTF-8"),
        (b"x" * (LINE_BYTES_MAX + 1), "第 1 行太长"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_repeated(typed: bytes, text: str) -> None:
    refused = probed(typed)
    assert (refused.exit_code, text in refused.output) == (2, True)
    assert NAME not in refused.output


def test_a_terminal_is_asked_on_standard_error() -> None:
    script = (
        "from app.typed_in import Asked, read_typed\n"
        "print(read_typed(Asked('--name', '户名', blank='可不填'), Asked('--card', '银行卡号')))"
    )
    keyboard, terminal = pty.openpty()
    os.write(keyboard, f"\n\n{CARD}\n".encode())
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdin=terminal,
            capture_output=True,
            check=True,
        )
    finally:
        os.close(terminal)
        os.close(keyboard)
    assert done.stdout.decode() == f"{['', CARD]!r}\n"
    # Once more for the number that was left out.
    assert done.stderr.decode().count("银行卡号") == 2
    assert "户名（可不填）" in done.stderr.decode()
