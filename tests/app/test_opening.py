"""A configuration file as an operator leaves it: what is wrong is said in a line, not in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app import config as configuration
from app.cli import main


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (b"[site\nname = 1", "line 1"),
        ('[site]\nname = "桂电"'.encode("gbk"), "UTF-8"),
        (b"[site]\nnonsense = 1", "site.nonsense"),
    ],
    ids=["no TOML", "saved as GBK", "an unknown key"],
)
def test_a_file_that_cannot_be_read_is_one_line(path: Path, broken: bytes, told: str) -> None:
    path.write_bytes(broken)
    done = CliRunner().invoke(main, ["db", "upgrade", "--config", str(path)])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert str(path) in done.output
    assert told in done.output


def test_no_file_is_one_line_that_says_how_to_make_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["worker", "--config", str(tmp_path / "no" / "config.toml")])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "campusnet init" in done.output


def test_a_secret_file_that_is_missing_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUSNET_WECHAT__TOKEN_FILE", "secrets/token")
    done = CliRunner().invoke(main, ["db", "upgrade", "--config", str(path)])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "secrets/token is missing" in done.output
    # Another configuration would not help.
    assert "campusnet init" not in done.output


@pytest.mark.parametrize("key", ["", "short"])
def test_cookies_are_not_signed_with_a_key_that_can_be_guessed(
    path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CAMPUSNET_SITE__SECRET_KEY", key)
    with pytest.raises(ValidationError, match="secret_key"):
        configuration.load(path)


@pytest.mark.parametrize("variable", ["IDENTITY__CLIENT_SECRET", "REDIS__URL"])
def test_every_secret_may_lie_in_a_file(path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    (path.parent / "secret").write_text("redis://:password@127.0.0.1:6379/0\n", encoding="utf-8")
    monkeypatch.setenv(f"CAMPUSNET_{variable}_FILE", "secret")
    config = configuration.load(path)
    held = config.redis.url if variable == "REDIS__URL" else config.identity.client_secret.get_secret_value()
    assert held == "redis://:password@127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PRESETS_FEN": "[500, 1050]"}, "1050"),
        ({"PRESETS_FEN": "[50, 500]"}, "50"),
        ({"MIN_FEN": "60000"}, "max_fen"),
    ],
)
def test_amounts_that_nobody_could_pay_stop_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], told: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(f"CAMPUSNET_RECHARGE__{name}", value)
    with pytest.raises(ValidationError, match=told):
        configuration.load(path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COUNTER__MAX_FEN", "0"),
        ("COUNTER__MAX_FEN", "9223372036854775500"),
        ("IMPORT__MAX_BALANCE_FEN", "99999999999"),
        ("IMPORT__APPROVE_ABOVE_FEN", "-1"),
        ("ACCOUNTS__STRIP", '["cmcc"]'),
        ("ACCOUNTS__STRIP", '["@"]'),
        ("ACCOUNTS__STRIP", '["\\\\"]'),
    ],
)
def test_bounds_and_realms_that_make_no_sense_stop_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"CAMPUSNET_{variable}", value)
    with pytest.raises(ValidationError):
        configuration.load(path)


def test_the_bounds_of_imports_come_from_the_environment_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUSNET_IMPORT__MAX_BALANCE_FEN", "123")
    monkeypatch.setenv("CAMPUSNET_ACCOUNTS__IGNORE_CASE", "false")
    config = configuration.load(path)
    assert (config.imports.max_balance_fen, config.imports.approve_above_fen) == (123, 1_000_000)
    assert not config.accounts.ignore_case
