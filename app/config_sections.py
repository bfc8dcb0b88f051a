"""The tables of config.toml, typed; `config.example.toml` explains every key."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from models.values.account_no import DEFAULT_REALMS, is_prefix
from payments.audit.keys import AuditKeys

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
WECHAT_API = "https://api.weixin.qq.com"
WECHAT_OAUTH = "https://open.weixin.qq.com"
WECHATPAY_API = "https://api.mch.weixin.qq.com"
AES_KEY_LENGTH = 43
API_V3_KEY_LENGTH = 32
ACCOUNTING_SECRET_LENGTH = 32
SECRET_KEY_LENGTH = 32
# 100 million yuan: sums of millions of amounts stay within 64 bits.
AMOUNT_LIMIT_FEN = 10**10


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change after the start."""

    # Errors name the key and never show what was typed: it may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ContactSection(Section):
    """The table [site.contact]."""

    qq_group: str = "466522933"
    hotline: str = "0773-2290739"
    office: str = "网络与信息技术中心1楼110室（原桂林信息科技学院办公楼，现网络与信息中心、研究生学院办公楼）"
    office_hours: str = "工作日上班时间"
    service_from_hour: int = Field(default=9, ge=0, le=24)
    service_until_hour: int = Field(default=18, ge=0, le=24)


class SiteSection(Section):
    """The table [site]."""

    name: str = "桂电校园网"
    base_url: str
    timezone: Literal["Asia/Shanghai"] = "Asia/Shanghai"
    campus_networks: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("10.0.0.0/8"),)
    trusted_proxies: int = Field(default=0, ge=0, le=3)
    intranet_url: str = ""
    secret_key: SecretStr
    old_secret_keys: tuple[SecretStr, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    contact: ContactSection = ContactSection()

    @field_validator("base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < SECRET_KEY_LENGTH:
            raise ValueError(f"secret_key must have {SECRET_KEY_LENGTH} characters or more")
        return value


class TemplatesSection(Section):
    """The table [wechat.templates]; fields as `field=word`, checked by `bot.notices.fields_of`."""

    money_id: str = ""
    money_fields: tuple[str, ...] = (
        "character_string1=account",
        "amount2=amount",
        "time3=time",
        "phrase4=state",
    )
    notice_id: str = ""
    notice_fields: tuple[str, ...] = ("thing1=title", "thing2=text", "time3=time")


class WechatSection(Section):
    """The table [wechat]."""

    app_id: str
    app_secret: SecretStr
    token: SecretStr
    encoding_aes_key: SecretStr = SecretStr("")
    message_mode: Literal["safe", "plain"] = "safe"
    original_id: str = ""
    account_type: Literal["service", "subscription", "test"] = "service"
    api_base: str = WECHAT_API
    oauth_base: str = WECHAT_OAUTH
    templates: TemplatesSection = TemplatesSection()

    @model_validator(mode="after")
    def _secrets_fit(self) -> Self:
        if not self.token.get_secret_value():
            raise ValueError("token is empty: anybody could send messages")
        if self.message_mode == "safe" and len(self.encoding_aes_key.get_secret_value()) != AES_KEY_LENGTH:
            raise ValueError("encoding_aes_key must have 43 characters in safe mode")
        return self


class PaySection(Section):
    """The table [pay]."""

    mch_id: str
    api_v3_key: SecretStr
    merchant_serial: str
    merchant_key_file: Path
    old_api_v3_key: SecretStr = SecretStr("")
    attach_secret: SecretStr = SecretStr("")
    old_attach_secret: SecretStr = SecretStr("")
    public_key_id: str = ""
    public_key_file: Path | None = None
    old_public_key_id: str = ""
    old_public_key_file: Path | None = None
    platform_cert_files: tuple[Path, ...] = ()
    foreign_prefixes: tuple[Annotated[str, Field(min_length=2, max_length=32)], ...] = ()
    api_base: str = WECHATPAY_API

    @field_validator("public_key_file", "old_public_key_file", mode="before")
    @classmethod
    def _no_name_is_no_file(cls, value: object) -> object:
        return value or None

    @field_validator("attach_secret", "old_attach_secret")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < SECRET_KEY_LENGTH:
            raise ValueError(f"attach_secret must have {SECRET_KEY_LENGTH} characters or more")
        return value

    @model_validator(mode="after")
    def _can_verify(self) -> Self:
        old_key = self.old_api_v3_key.get_secret_value()
        if len(self.api_v3_key.get_secret_value()) != API_V3_KEY_LENGTH:
            raise ValueError("api_v3_key must have 32 characters")
        if old_key and len(old_key) != API_V3_KEY_LENGTH:
            raise ValueError("old_api_v3_key must have 32 characters, or none")
        if bool(self.public_key_id) != (self.public_key_file is not None):
            raise ValueError("public_key_id and public_key_file go together")
        if bool(self.old_public_key_id) != (self.old_public_key_file is not None):
            raise ValueError("old_public_key_id and old_public_key_file go together")
        if self.old_public_key_id and self.old_public_key_id == self.public_key_id:
            raise ValueError("old_public_key_id is the id of another key than public_key_id")
        if not self.public_key_id and not self.platform_cert_files:
            raise ValueError("set public_key_id and public_key_file, or platform_cert_files")
        return self


class DatabaseSection(Section):
    """The table [database]."""

    url: str
    owner_url: str = ""
    pool_size: int = Field(default=10, ge=1, le=100)
    statement_timeout_s: float = Field(default=15.0, gt=0, le=600)
    lock_timeout_s: float = Field(default=2.0, gt=0, le=60)
    idle_in_transaction_timeout_s: float = Field(default=15.0, gt=0, le=20)
    tcp_user_timeout_s: float = Field(default=10.0, gt=0, le=60)


class RedisSection(Section):
    """The table [redis]."""

    url: str = ""


class EmbeddedSection(Section):
    """The table [billing.embedded]."""

    accounting_secret: SecretStr = SecretStr("")
    interim_s: int = Field(default=300, ge=30, le=86_400)
    dead_letter_days: int = Field(default=180, ge=1, le=3650)

    @field_validator("accounting_secret")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < ACCOUNTING_SECRET_LENGTH:
            raise ValueError(f"accounting_secret must have {ACCOUNTING_SECRET_LENGTH} characters or more")
        return value


class BillingSection(Section):
    """The table [billing]."""

    backend: Literal["embedded"] = "embedded"
    embedded: EmbeddedSection = EmbeddedSection()


class RechargeSection(Section):
    """The table [recharge]."""

    presets_fen: tuple[int, ...] = (500, 1000, 2000, 5000, 10000, 20000)
    min_fen: int = Field(default=100, ge=1)
    max_fen: int = Field(default=50_000, ge=1)
    step_fen: int = Field(default=100, ge=1)
    order_ttl_s: int = Field(default=1800, ge=300, le=7200)
    daily_limit_fen: int = Field(default=200_000, ge=1)
    second_payment: Literal["ask", "credit", "refund"] = "ask"

    @model_validator(mode="after")
    def _can_be_paid(self) -> Self:
        if self.min_fen > self.max_fen:
            raise ValueError("min_fen is above max_fen")
        for fen in self.presets_fen:
            if not self.min_fen <= fen <= self.max_fen or fen % self.step_fen:
                raise ValueError(
                    f"presets_fen: {fen} is beyond min_fen and max_fen, or no multiple of step_fen"
                )
        return self


class AccountsSection(Section):
    """The table [accounts]."""

    ignore_case: bool = True
    strip: tuple[Annotated[str, Field(min_length=2, max_length=64)], ...] = DEFAULT_REALMS

    @field_validator("strip")
    @classmethod
    def _stands_apart(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for realm in value:
            bare = realm.removesuffix("\\").removesuffix("/") if is_prefix(realm) else realm[1:]
            apart = is_prefix(realm) or realm[0] in "@/%#"
            if not (apart and bare and realm.isascii() and realm.isprintable() and " " not in realm):
                raise ValueError(f"strip: {realm!r} neither begins with @ nor ends with a backslash")
        return value


class CounterSection(Section):
    """The table [counter]."""

    max_fen: int = Field(default=1_000_000, ge=1, le=AMOUNT_LIMIT_FEN)
    confirm_transfers_days: int = Field(default=7, ge=1, le=90)
    bank_account: str = Field(default="", max_length=40)


class ImportSection(Section):
    """The table [import]."""

    max_balance_fen: int = Field(default=1_000_000, ge=1, le=AMOUNT_LIMIT_FEN)
    approve_above_fen: int = Field(default=1_000_000, ge=0, le=AMOUNT_LIMIT_FEN)


class IdentitySection(Section):
    """The table [identity]."""

    kind: Literal["cas", "oidc"] = "cas"
    base_url: str
    account_attribute: str = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    timeout_s: float = Field(default=5.0, gt=0, le=30)
    owner_notice_command: tuple[str, ...] = ()

    @field_validator("base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="after")
    def _client_is_known(self) -> Self:
        if self.kind == "oidc" and not (self.client_id and self.client_secret.get_secret_value()):
            raise ValueError("kind is oidc: set client_id and client_secret")
        return self


class WorkerSection(Section):
    """The table [worker]."""

    mode: Literal["embedded", "external"] = "external"
    lease_s: float = Field(default=30.0, ge=1, le=600)


class BackupSection(Section):
    """The table [backup]."""

    dir: Path = Path("/var/lib/campusnet/backups")
    keep: int = Field(default=14, ge=1, le=1000)
    pg_dump: str = "pg_dump"
    journal: Path | None = None

    @field_validator("journal", mode="before")
    @classmethod
    def _no_name_is_no_file(cls, value: object) -> object:
        return value or None


class MetricsSection(Section):
    """The table [metrics]."""

    bind: str = ""


class AuditSection(Section):
    """The table [audit]."""

    key: SecretStr = SecretStr("")
    anchor_dir: Path | None = None
    anchor_command: tuple[str, ...] = ()

    @field_validator("anchor_dir", mode="before")
    @classmethod
    def _no_name_is_no_folder(cls, value: object) -> object:
        return value or None

    @field_validator("key")
    @classmethod
    def _can_be_used(cls, value: SecretStr) -> SecretStr:
        AuditKeys.parse(value.get_secret_value())
        return value
