"""File names and secrets of the configuration: relative to its file, secrets in files of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def make_absolute(data: dict[str, Any], folder: Path) -> None:
    """Name the files of the configuration relative to its own folder."""
    pay, audit = data.get("pay", {}), data.get("audit", {})
    if audit.get("anchor_dir"):
        audit["anchor_dir"] = folder / audit["anchor_dir"]
    for key in ("merchant_key_file", "public_key_file", "old_public_key_file"):
        if pay.get(key):
            pay[key] = folder / pay[key]
    if "platform_cert_files" in pay:
        pay["platform_cert_files"] = [folder / name for name in pay["platform_cert_files"]]


SECRETS = (
    ("site", "secret_key"),
    ("wechat", "app_secret"),
    ("wechat", "token"),
    ("wechat", "encoding_aes_key"),
    ("pay", "api_v3_key"),
    ("pay", "old_api_v3_key"),
    ("database", "url"),
    ("database", "owner_url"),
    ("redis", "url"),
    ("identity", "client_secret"),
    ("billing.embedded", "accounting_secret"),
    ("audit", "key"),
)


def read_secret_files(data: dict[str, Any], folder: Path) -> dict[str, str]:
    """Put secrets into `data`. Returns: the variables that were taken out of the environment for it."""
    taken: dict[str, str] = {}
    for section, key in SECRETS:
        variable = f"CAMPUSNET_{'__'.join([*section.split('.'), key]).upper()}_FILE"
        table = data
        for part in section.split("."):
            table = table.setdefault(part, {})
        named = table.pop(f"{key}_file", None)
        if os.environ.get(variable):
            named = taken[variable] = os.environ.pop(variable)
        if named:
            table[key] = (folder / named).read_text(encoding="utf-8").strip()
    return taken
