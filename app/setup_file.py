"""Writing a configuration file to start from, and the key file of the audit chain."""

from __future__ import annotations

import os
import secrets
import tomllib
from functools import partial
from pathlib import Path

import click

from app import config as configuration
from models.clock import utc_now
from models.db.engine import Database
from payments.audit.hash_chain import ForeignKeyId
from payments.audit.key_change import begin_key
from payments.audit.keys import AuditKeys, new_key

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
KEY_FILE = "audit_key"


def write_example(target: Path) -> None:
    """Copy the commented example with random secrets where no operator decides them, and an audit key.

    Raises: click.ClickException - a file exists (it is never overwritten), or cannot be written.
    """
    key_file = target.parent / KEY_FILE
    for path in (target, key_file):
        if path.exists():
            raise click.ClickException(f"{path} exists already")
    text = EXAMPLE.read_text(encoding="utf-8")
    # 公众平台 takes 3 to 32 letters and digits.
    text = text.replace('token = "<random>"', f'token = "{secrets.token_hex(16)}"')
    while '"<random>"' in text:
        text = text.replace('"<random>"', f'"{secrets.token_hex(32)}"', 1)
    text = text.replace('\nkey = ""\n', f'\nkey_file = "{KEY_FILE}"\n')
    try:
        target.touch(mode=0o600)
        target.write_text(text, encoding="utf-8")
        write_keys(key_file, AuditKeys((new_key(),)))
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be written: {error.strerror}") from None


def begin_audit_key(config_path: Path, *, is_lost: bool) -> tuple[Path, bool]:
    """Make the first audit key of a running installation, or the next one.

    Args:
        is_lost: the present key is gone: no configuration has it.

    Returns: the key file, and whether the configuration names it already.
    Raises: click.ClickException - there is no usable configuration, or the key is not in a file.
    """
    try:
        named = tomllib.loads(config_path.read_text(encoding="utf-8")).get("audit", {}).get("key_file")
        config = configuration.load(config_path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{config_path} is not usable: {error}") from None
    keys = AuditKeys.parse(config.audit.key.get_secret_value())
    if keys.keys and not named:
        raise click.ClickException("write the present audit key into a file, and name it as [audit] key_file")
    path = config_path.parent / (named or KEY_FILE)
    if path.exists() and not named:
        raise click.ClickException(f"{path} exists already, but [audit] key_file does not name it")
    database = Database(config.database.url)
    try:
        write = partial(write_keys, path)
        begin_key(database, keys, now=utc_now(), write=write, is_lost=is_lost)
    except ForeignKeyId as error:
        raise click.ClickException(f"{error}; is it lost: --lost-key") from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    finally:
        database.dispose()
    return path, bool(named)


def write_keys(path: Path, keys: AuditKeys) -> None:
    """Write the key file, readable by its owner only. Raises: OSError."""
    text = "".join(f"{key.line}\n" for key in keys.keys)
    written = path.with_name(f"{path.name}.new")
    written.unlink(missing_ok=True)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
