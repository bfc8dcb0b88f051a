"""Configuration: config.toml, then the environment (`CAMPUSNET_SECTION__KEY`), typed and complete.

An unknown key, a missing secret or a sandbox address in production stops the start.
`config.example.toml` explains every key; `tests/test_docs.py` keeps the two together.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.config_sections import (
    LOOPBACK_HOSTS,
    AccountsSection,
    AuditSection,
    BackupSection,
    BillingSection,
    CounterSection,
    DatabaseSection,
    IdentitySection,
    ImportSection,
    MetricsSection,
    PaySection,
    RechargeSection,
    RedisSection,
    SiteSection,
    WechatSection,
    WorkerSection,
)


class Config(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="CAMPUSNET_",
        env_nested_delimiter="__",
    )

    mode: Literal["demo", "production"] = "production"
    site: SiteSection
    wechat: WechatSection
    pay: PaySection
    database: DatabaseSection
    redis: RedisSection = RedisSection()
    billing: BillingSection = BillingSection()
    recharge: RechargeSection = RechargeSection()
    counter: CounterSection = CounterSection()
    # `import` is no name in Python; the second alias is what the environment calls it.
    imports: ImportSection = Field(
        default=ImportSection(),
        validation_alias=AliasChoices("import", "CAMPUSNET_IMPORT"),
        serialization_alias="import",
    )
    accounts: AccountsSection = AccountsSection()
    identity: IdentitySection
    worker: WorkerSection = WorkerSection()
    metrics: MetricsSection = MetricsSection()
    audit: AuditSection = AuditSection()
    backup: BackupSection = BackupSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return (env_settings, init_settings)

    @model_validator(mode="after")
    def _production_is_real(self) -> Self:
        if self.mode != "production":
            return self
        for name, url in (
            ("site.base_url", self.site.base_url),
            ("wechat.api_base", self.wechat.api_base),
            ("wechat.oauth_base", self.wechat.oauth_base),
            ("pay.api_base", self.pay.api_base),
            ("identity.base_url", self.identity.base_url),
        ):
            parts = urlsplit(url)
            if parts.scheme != "https" or parts.hostname in LOOPBACK_HOSTS:
                raise ValueError(f"mode is production, but {name} is not a public https address: {url}")
        return self


def load(path: Path) -> Config:
    """Read a file and the environment over it. File names inside are relative to the file.

    `<key>_file` in the file or the environment may stand for a secret `<key>`.
    Raises: pydantic.ValidationError with every wrong key by name; OSError, tomllib.TOMLDecodeError.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    _absolute(data.get("pay", {}), path.parent)
    if folder := data.get("audit", {}).get("anchor_dir"):
        data["audit"]["anchor_dir"] = path.parent / folder
    for key in ("dir", "journal"):
        if data.get("backup", {}).get(key):
            data["backup"][key] = path.parent / data["backup"][key]
    taken = _read_secret_files(data, path.parent)
    try:
        return Config(**data)
    finally:
        # Whoever loads again (a reload) finds the environment as it was.
        os.environ.update(taken)


def _absolute(pay: dict[str, Any], folder: Path) -> None:
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
    ("pay", "attach_secret"),
    ("pay", "old_attach_secret"),
    ("database", "url"),
    ("database", "owner_url"),
    ("redis", "url"),
    ("identity", "client_secret"),
    ("billing.embedded", "accounting_secret"),
    ("audit", "key"),
)


def secret_files(path: Path) -> list[Path]:
    """Return the files of secrets that a configuration file or the environment names. Raises: as `load`."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    found: list[Path] = []
    for section, key in SECRETS:
        table = data
        for part in section.split("."):
            table = table.get(part, {})
        named = os.environ.get(_variable(section, key)) or table.get(f"{key}_file")
        if named:
            found.append(path.parent / named)
    return found


def _variable(section: str, key: str) -> str:
    return f"CAMPUSNET_{'__'.join([*section.split('.'), key]).upper()}_FILE"


def _read_secret_files(data: dict[str, Any], folder: Path) -> dict[str, str]:
    """Put secrets into `data`. Returns: the variables that were taken out of the environment for it."""
    taken: dict[str, str] = {}
    for section, key in SECRETS:
        variable = _variable(section, key)
        table = data
        for part in section.split("."):
            table = table.setdefault(part, {})
        named = table.pop(f"{key}_file", None)
        if os.environ.get(variable):
            named = taken[variable] = os.environ.pop(variable)
        if named:
            table[key] = (folder / named).read_text(encoding="utf-8").strip()
    return taken
