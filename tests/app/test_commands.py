"""What goes wrong under an operator's hands is one line, not a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from models.db.engine import Database
from models.notice import Broadcast, Notice


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(path)])


def refused(done: Result, words: str) -> bool:
    return (done.exit_code, type(done.exception)) == (1, SystemExit) and words in done.output


def test_a_menu_that_cannot_be_pushed_is_told(path: Path) -> None:
    assert refused(run(path, "menu", "push"), "Unavailable")


def test_an_example_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    target = str(tmp_path / "nowhere" / "config.toml")
    assert refused(CliRunner().invoke(main, ["init", "--to", target]), target)


@pytest.mark.parametrize("arguments", [("preview", "7", "--openid", "oA"), ("send", "7", "--all", "--yes")])
def test_a_notice_that_does_not_exist_is_told(
    path: Path, database_url: str, arguments: tuple[str, ...]
) -> None:
    assert refused(run(path, "broadcast", *arguments), "没有这条公告")
    database = Database(database_url)
    with database.reading() as session:
        assert session.query(Broadcast).count() == 0
    database.dispose()


@pytest.mark.parametrize(
    ("title", "body"), [("", "正文"), ("长" * 65, "正文"), ("两\n行", "正文"), ("标题", " ")]
)
def test_a_notice_that_could_not_be_shown_or_sent_is_not_written(
    path: Path, database_url: str, title: str, body: str
) -> None:
    assert refused(run(path, "broadcast", "write", "--title", title, "--body", body), "公告")
    database = Database(database_url)
    with database.reading() as session:
        assert session.query(Notice).count() == 0
    database.dispose()
