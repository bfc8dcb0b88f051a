"""SIGHUP takes the configuration of the file, unless it cannot be used."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from app import config as configuration
from app.server import Server


def old_keys(server: Server) -> tuple[str, ...]:
    """What a process that starts now would use."""
    server.load()
    assert server._house is not None
    return tuple(server._house.web.pay._config.old_api_v3_keys)


def test_a_reload_takes_the_new_keys_and_refuses_broken_ones(path: Path) -> None:
    server = Server(partial(configuration.load, path), bind="127.0.0.1:0", processes=1, threads=1)
    assert old_keys(server) == ()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("old_api_v3_key = ''", f"old_api_v3_key = '{'o' * 32}'"), encoding="utf-8")
    assert old_keys(server) == (), "nobody asked for it yet"
    server.reload()
    assert old_keys(server) == ("o" * 32,)
    path.write_text(text.replace("[pay]", "[pay]\nnonsense = 1"), encoding="utf-8")
    server.reload()
    (path.parent / "merchant_key_pem.pem").write_text("no key", encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    server.reload()
    assert server._config.pay.old_api_v3_key.get_secret_value() == "o" * 32


def test_a_secret_file_named_by_the_environment_is_read_at_every_load(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path.parent / "old_key").write_text("e" * 32 + "\n", encoding="utf-8")
    monkeypatch.setenv("CAMPUSNET_PAY__OLD_API_V3_KEY_FILE", "old_key")
    for _ in range(2):
        assert configuration.load(path).pay.old_api_v3_key.get_secret_value() == "e" * 32
