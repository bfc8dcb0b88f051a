"""Keys of the hash chains: read from configuration, never stored in the database.

A key text has one line for each key: `<key id> <hex secret> <first journal seal> <first ledger seal>`.
The last line is the key in use; earlier ones verify the seals before it. Seals before the first key
have none. In the environment a semicolon stands for the end of a line.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LINE = re.compile(r"([0-9a-z-]{1,16}) ([0-9a-f]{64,128})(?: ([1-9][0-9]{0,17}) ([1-9][0-9]{0,17}))?")
SECRET_BYTES = 32


@dataclass(frozen=True)
class AuditKey:
    """One key, and the first seal of each chain that is made with it."""

    key_id: str
    secret: bytes
    journal_from: int = 1
    ledger_from: int = 1

    def __repr__(self) -> str:
        """Never show the secret."""
        return f"AuditKey({self.key_id!r}, from {self.journal_from})"

    def precedes(self, other: AuditKey) -> bool:
        """True if the other key takes over after this one in both chains, or where it made no seal."""
        return self.journal_from <= other.journal_from and self.ledger_from <= other.ledger_from

    @property
    def line(self) -> str:
        """The key as its line of the key text."""
        return f"{self.key_id} {self.secret.hex()} {self.journal_from} {self.ledger_from}"


@dataclass(frozen=True)
class AuditKeys:
    """All keys, oldest first; none: the chain is not keyed."""

    keys: tuple[AuditKey, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AuditKeys:
        """Read a key text. Raises: ValueError - a line is not a key, an id is used twice, wrong order."""
        found: list[AuditKey] = []
        for line in filter(None, (line.strip() for line in re.split(r"[\n;]", text))):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError("a line of the audit key is not `<key id> <64 hex digits> <seal> <seal>`")
            key = AuditKey(match[1], bytes.fromhex(match[2]), int(match[3] or 1), int(match[4] or 1))
            if found and not found[-1].precedes(key):
                raise ValueError(f"audit key {key.key_id} begins before the one above it")
            if key.key_id in {other.key_id for other in found}:
                raise ValueError(f"audit key {key.key_id} is there twice")
            found.append(key)
        return cls(tuple(found))

    @property
    def current(self) -> AuditKey | None:
        """The key that seals now."""
        return self.keys[-1] if self.keys else None

    def named(self, key_id: str) -> AuditKey | None:
        """The key with this id, None when it is not configured."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def of_journal(self, position: int) -> AuditKey | None:
        """The key of this seal of the journal, None: sealed without one."""
        return next((key for key in reversed(self.keys) if key.journal_from <= position), None)

    def of_ledger(self, position: int) -> AuditKey | None:
        """The key of this seal of the ledger, None: sealed without one."""
        return next((key for key in reversed(self.keys) if key.ledger_from <= position), None)


@dataclass(frozen=True)
class AuditSettings:
    """What sealing, anchoring and checking need to know.

    `anchor_command` receives the anchor line on its standard input; no shell is involved. `embedded`:
    the ledger of the embedded billing engine is checked too. `is_production`: accounts are opened by
    operators alone.
    """

    keys: AuditKeys = AuditKeys()
    anchor_dir: Path | None = None
    anchor_command: tuple[str, ...] = ()
    embedded: bool = True
    is_production: bool = False

    @property
    def is_anchored(self) -> bool:
        """True if heads of the chain leave the database."""
        return self.anchor_dir is not None or bool(self.anchor_command)


def new_key(journal_from: int = 1, ledger_from: int = 1) -> AuditKey:
    """Make a random key that makes the seals from these on."""
    return AuditKey(secrets.token_hex(4), secrets.token_bytes(SECRET_BYTES), journal_from, ledger_from)


def digest(content: Any, key: AuditKey | None) -> str:
    """Return the HMAC-SHA-256 of sorted JSON, the plain SHA-256 without a key."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    if key is None:
        return hashlib.sha256(text).hexdigest()
    return hmac.new(key.secret, text, hashlib.sha256).hexdigest()
