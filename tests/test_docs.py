"""What is written stays true: configuration keys, commands, links."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from app.cli import main
from app.config import Config
from app.factory import BODY_LIMIT_BYTES
from app.moving_in import import_command
from web.hooks import ACCOUNTING_LIMIT_BYTES

ROOT = Path(__file__).parent.parent


def keys_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for attribute, field in model.model_fields.items():
        name, kind = field.serialization_alias or attribute, field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys_of(kind, f"{prefix}{name}.")
        else:
            found.add(f"{prefix}{name}")
    return found


def flat(table: dict[str, object], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}"}
    return found


def test_the_example_names_every_setting_and_no_other() -> None:
    example = tomllib.loads((ROOT / "config.example.toml").read_text(encoding="utf-8"))
    assert flat(example) == keys_of(Config)


def test_every_setting_of_the_example_is_explained() -> None:
    lines = (ROOT / "config.example.toml").read_text(encoding="utf-8").splitlines()
    commented = False
    for line in lines:
        if line.startswith("#"):
            commented = True
        elif line.startswith("[") or not line.strip():
            commented = commented and bool(line.strip())
        else:
            assert commented or re.match(
                r"(site|contact|office|service|hotline|qq|min|max|step|app|timeout|api|oauth|merchant|public)",
                line,
            ), line


def commands(group: click.Group, prefix: str = "") -> set[str]:
    found = set()
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found |= (
            commands(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {f"{prefix}{name}"}
        )
    return found


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_only_commands_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    known = commands(main)
    for mentioned in re.findall(r"`campusnet ([a-z]+(?: [a-z]+)?)", text):
        assert any(
            mentioned == k or mentioned.startswith(k) or k.startswith(f"{mentioned} ") for k in known
        ), mentioned


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} -> {target}"


def test_the_deployment_files_run_commands_that_exist() -> None:
    known = commands(main)
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        started = re.search(r"-m app\.cli ([a-z]+)", unit.read_text(encoding="utf-8"))
        assert started is not None, unit.name
        assert started[1] in known, unit.name


def test_the_services_make_the_folder_they_write_to() -> None:
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        # A path of ReadWritePaths that is not there keeps the unit from starting.
        assert "ReadWritePaths" not in text, unit.name
        assert "StateDirectory=campusnet" in text, unit.name


NGINX = (ROOT / "deploy" / "nginx" / "campusnet.conf").read_text(encoding="utf-8")


def location(name: str) -> str:
    found = re.search(rf"location {re.escape(name)} {{(.*?)\n    }}", NGINX, re.DOTALL)
    assert found is not None, name
    return found[1]


def limit_in(block: str) -> int:
    found = re.search(r"client_max_body_size (\d+)([km])", block)
    assert found is not None
    return int(found[1]) * {"k": 1024, "m": 1024**2}[found[2]]


def test_the_proxy_lets_through_what_the_service_takes() -> None:
    assert limit_in(NGINX.partition("location")[0]) >= BODY_LIMIT_BYTES
    assert limit_in(location("= /billing/accounting")) >= ACCOUNTING_LIMIT_BYTES


def test_the_proxy_names_each_request_and_believes_no_name_of_a_client() -> None:
    passed = re.findall(r"^( *)proxy_set_header +X-Request-Id +(.*);$", NGINX, re.MULTILINE)
    assert passed == [("    ", "$request_id")]
    # A header set in a location would replace all that the server sets.
    assert "proxy_set_header" not in NGINX.partition("location")[2]
    log_format = re.search(r"log_format campusnet (.*?);", NGINX, re.DOTALL)
    assert log_format is not None
    assert "$request_id" in log_format[1]


def test_the_proxy_keeps_only_files_that_are_asked_for_by_their_hash() -> None:
    # The modules import ./ui.js without one: kept for a year, it would not fit the pages of the next version.
    assert 'from "./ui.js"' in (ROOT / "web" / "static" / "js" / "pay.js").read_text(encoding="utf-8")
    kept = re.search(r"map \$arg_v (\$\w+) {\s*\"\" epoch;\s*default 1y;\s*}", NGINX)
    assert kept is not None
    assert f"expires {kept[1]};" in location("/static/")


GUARDS = ROOT / "docs" / "guarantees.md"
COVERAGE = ROOT / "docs" / "seed-coverage.md"


def names_in(path: Path) -> set[str]:
    """Functions, methods and classes of a module, methods as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("document", [GUARDS, COVERAGE], ids=lambda path: path.stem)
def test_the_code_and_tests_named_in_a_table_exist(document: Path) -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::?([\w.]+))?`", document.read_text(encoding="utf-8"))
    assert named
    wrong = [
        f"{path}:{name}"
        for path, name in named
        if not (ROOT / path).is_file() or (name and name not in names_in(ROOT / path))
    ]
    assert wrong == []


def test_every_guarantee_has_a_guard_and_a_test() -> None:
    rows = re.findall(r"^\| (G\d+) \|(.*)\|$", GUARDS.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = [int(number[1:]) for number, _ in rows]
    assert numbers == sorted(set(numbers))
    for number, row in rows:
        _, guards, tests = row.split(" | ")[:3]
        assert re.search(r"\.py:\w", guards), number
        assert "::test_" in tests, number


DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))


def typed(line: str) -> None:
    """Read a documented command as click would, placeholders and all. Raises: AssertionError."""
    words, context = shlex.split(line.partition(" < ")[0]), click.Context(main)
    found: click.Command = main
    while words and isinstance(found, click.Group) and (inner := found.get_command(context, words[0])):
        found, words = inner, words[1:]
    assert found is not main, line
    if found is import_command:
        found = import_command.commands["file"]
    try:
        values, left, _ = found.make_parser(click.Context(found)).parse_args(words)
    except click.UsageError as error:
        raise AssertionError(f"{line}: {error.format_message()}") from None
    assert not left, f"{line}: {left}"
    for parameter in found.params:
        value = values.get(str(parameter.name))
        named = value if isinstance(value, str) else ""
        assert value is not None or not parameter.required, f"{line}: {parameter.name}"
        # Placeholders in Chinese or capitals stand for a choice, a word that could be one is one.
        if named and isinstance(parameter.type, click.Choice) and re.fullmatch(r"[a-z-]+", named):
            assert named in parameter.type.choices, f"{line}: {value}"


def documented(path: Path) -> list[str]:
    """Commands of a document with an option at least, and all in the blocks of the handbook."""
    text = path.read_text(encoding="utf-8")
    inline = [" ".join(found.split()) for found in re.findall(r"`campusnet ([a-z][^`]*)`", text)]
    lines = [line for line in inline if " --" in line and "|" not in line]
    if path.name == "counter.md":
        for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines += [line.removeprefix("campusnet ") for line in block.splitlines()]
    return lines


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if documented(path)], ids=lambda path: path.stem)
def test_each_documented_command_line_can_be_typed(path: Path) -> None:
    for line in documented(path):
        typed(line)


@pytest.mark.parametrize(
    "wrong",
    [
        "review propose 12 --action payout-paid --evidence 依据 --as 甲",
        "review propose 12 payout-payed --evidence 依据 --as 甲",
        "review approve 12 --by 乙",
        "review approve 12",
        "counter opened",
    ],
)
def test_a_command_line_that_cannot_be_typed_is_found(wrong: str) -> None:
    with pytest.raises(AssertionError):
        typed(wrong)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "app/demo.py"])
def test_it_is_said_how_to_run_a_command_against_the_demo(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(
        r"CAMPUSNET_CONFIG=(var/demo/config\.toml|{config}) \.venv/bin/campusnet counter open", text
    )
    if name == "README.md":
        assert len(text.splitlines()) <= 52
