"""Names of students and card numbers: asked for, or read from standard input, never arguments.

Arguments stand in the shell's history and in the list of processes, which every user of the machine can read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

# Longer than any name or number; what a wrong file holds is not read on and on.
LINE_BYTES_MAX = 1000

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Asked:
    """One value that a command asks for.

    `option` is what it was called on the command line once; `blank` says what an empty line means, where
    the value may be left out.
    """

    option: str
    label: str
    blank: str = ""


def personal(*asked: Asked) -> Callable[[_Command], _Command]:
    """Refuse the options of these values, with the hint how to type them; for what `read_typed` asks for."""
    order = "，".join(f"第 {place} 行{value.label}" for place, value in enumerate(asked, 1))
    hint = (
        "不在命令行填写，以免留在命令历史和进程列表里。去掉 {option}，按提示输入；"
        f"脚本从标准输入送入：{order}。"
    )

    def wrap(command: _Command) -> _Command:
        for value in asked:
            command = _refused(value, hint.format(option=value.option))(command)
        return command

    return wrap


def read_typed(*asked: Asked) -> list[str]:
    """Ask for the values on a terminal; else read a line of standard input for each, in this order.

    Raises: click.UsageError - standard input ends before a value that is needed, or is not UTF-8.
    """
    if sys.stdin.isatty():
        return [_prompted(value) for value in asked]
    return [_line(value, place) for place, value in enumerate(asked, 1)]


def _prompted(value: Asked) -> str:
    # On standard error: standard output may be a receipt on its way to a printer.
    if value.blank:
        shown = f"{value.label}（{value.blank}）"
        text = str(click.prompt(shown, type=str, default="", show_default=False, err=True))
    else:
        text = str(click.prompt(value.label, type=str, err=True))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{value.label}不是 UTF-8 编码，请检查终端的编码设置。") from None
    return text.strip()


def _line(value: Asked, place: int) -> str:
    raw = sys.stdin.buffer.readline(LINE_BYTES_MAX + 1)
    if len(raw) > LINE_BYTES_MAX:
        raise click.UsageError(f"标准输入第 {place} 行太长，应为{value.label}。")
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise click.UsageError(f"标准输入第 {place} 行（{value.label}）不是 UTF-8 编码。") from None
    if not text and not value.blank:
        raise click.UsageError(f"标准输入缺少第 {place} 行：{value.label}。")
    return text


def _refused(value: Asked, hint: str) -> Callable[[_Command], _Command]:
    def refuse(_context: click.Context, _parameter: click.Parameter, typed: str | None) -> None:
        if typed is not None:
            raise click.UsageError(f"{value.label}{hint}")

    # The value is optional, so that the hint comes without one, too; eager: before any other complaint.
    return click.option(
        value.option,
        value.option.strip("-"),
        is_flag=False,
        flag_value="",
        hidden=True,
        expose_value=False,
        is_eager=True,
        callback=refuse,
    )
