"""From configuration to a working house. Tests, commands and servers all call `build`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.orm import Session

from app.config import Config
from app.outbox_handlers import outbox_handlers
from app.periodic_jobs import periodic_jobs
from app.worker import Deliver, Worker
from billing import registry
from billing.embedded.accounting import Accounting
from billing.embedded.importing import ImportRules
from billing.interface import Crossing
from bot import customer
from bot import menu as bot_menu
from bot.callback import Callback
from bot.client import ClientConfig, WechatClient
from bot.envelope import CallbackConfig
from bot.limits import RateLimiter
from bot.notices import Notices, Template, fields_of
from bot.oauth import OAuth
from bot.redis_gate import connect
from bot.replies import ReplyStore
from bot.robot import build_robot
from handlers import ROUTES
from handlers.services import HandlerServices
from identity.base import UnifiedIdentity
from identity.cas import Identity, IdentityConfig
from identity.oidc import OidcConfig, OidcIdentity
from models.clock import Clock, utc_now
from models.db.engine import Database
from models.db.postgres import Limits
from models.outbox import Lane
from models.site import Contact, CounterRules, RechargeRules, Site
from models.tidings import Form
from models.values.account_no import AccountRules
from models.values.outbound_gate import OutboundGate
from models.values.security_log import SecurityLog
from payments import alerts, notify
from payments.attach import AttachKeys
from payments.audit.keys import AuditKeys, AuditSettings
from payments.periodic import Job
from payments.services import Services
from payments.wechatpay.client import PayConfig, WechatPay
from payments.wechatpay.crypto import derive_key
from web.captcha import Captchas
from web.services import WebServices

WAKE_KEYS = {Lane.MONEY: "campusnet:wake", Lane.MESSAGE: "campusnet:wake:message"}
SECURITY_KEY = "campusnet:security"
# More tokens than workers could ever need; the lists are trimmed so that they cannot grow.
WAKE_KEEP = 16
# How long a worker waits for a locked row: everything else of its lane is behind it.
WORKER_LOCK_TIMEOUT_S = 0.5


@dataclass(frozen=True)
class House:
    """Everything one process needs; built once, closed once."""

    config: Config
    database: Database
    redis: redis.Redis
    wechat: WechatClient
    notices: Notices
    web: WebServices
    accounting: Accounting
    deliveries: Mapping[str, Deliver]
    periodic: Mapping[str, Job]

    def worker(self) -> Worker:
        """A background worker with a name of its own."""
        return Worker(
            self.web,
            self.deliveries,
            wait=time.sleep,
            waits={lane: Waiter(self.config.redis.url, key).wait for lane, key in WAKE_KEYS.items()},
            lease_s=self.config.worker.lease_s,
            periodic=self.periodic,
        )

    def push_menu(self) -> None:
        """Replace the account's menu by ours."""
        bot_menu.push_menu(self.wechat, self.config.site.base_url)

    def close(self) -> None:
        """Let go of connections and threads."""
        self.web.callback.close()
        self.web.pay.disconnect()
        self.database.dispose()
        self.redis.close()


def build(config: Config, *, clock: Clock = utc_now, background: bool = False) -> House:
    """Wire everything; opens no connection yet.

    Args:
        background: for a process that only works: it waits for locked rows shorter than a page does.
    Raises: ValueError, OSError - keys that cannot be used.
    """
    database = Database(
        config.database.url,
        pool_size=config.database.pool_size,
        limits=limits_of(config, background=background),
    )
    store = connect(config.redis.url)
    wechat = WechatClient(
        ClientConfig(
            app_id=config.wechat.app_id,
            app_secret=config.wechat.app_secret.get_secret_value(),
            api_base=config.wechat.api_base,
        ),
        store,
    )
    base = _services(config, database, store, clock)
    limiter = RateLimiter(store)
    accounting = registry.accounting(
        database,
        clock,
        interim_s=config.billing.embedded.interim_s,
        dead_letter_days=config.billing.embedded.dead_letter_days,
        announce=partial(_announce, base.site),
        account_rules=account_rules_of(config),
    )
    web = WebServices(
        **shallow(base),
        callback=_callback(config, HandlerServices(**shallow(base), limiter=limiter), wechat, store),
        oauth=OAuth(wechat, config.wechat.oauth_base, clock),
        identity=_identity(config, clock),
        captchas=Captchas(store),
        limiter=limiter,
        notify=partial(notify.receive, base),
        security=SecurityLog(clock, partial(count_security, store)),
        oauth_gate=OutboundGate("WeChat's page login"),
        identity_gate=OutboundGate("the unified identity"),
        accounting=registry.accounting_receiver(
            accounting, config.billing.embedded.accounting_secret.get_secret_value(), clock
        ),
    )
    notices = Notices(wechat, templates_of(config))
    handlers = outbox_handlers(config, notices)
    jobs = periodic_jobs(config, accounting)
    return House(config, database, store, wechat, notices, web, accounting, handlers, jobs)


def limits_of(config: Config, *, background: bool) -> Limits:
    """Return how long sessions of PostgreSQL may wait."""
    section = config.database
    patience_s = min(section.lock_timeout_s, WORKER_LOCK_TIMEOUT_S) if background else section.lock_timeout_s
    return Limits(
        statement_timeout_s=section.statement_timeout_s,
        lock_timeout_s=patience_s,
        idle_in_transaction_timeout_s=section.idle_in_transaction_timeout_s,
        tcp_user_timeout_s=section.tcp_user_timeout_s,
    )


def _services(config: Config, database: Database, store: redis.Redis, clock: Clock) -> Services:
    return Services(
        database=database,
        clock=clock,
        billing=registry.build(
            config.billing.backend, database=database, clock=clock, account_rules=account_rules_of(config)
        ),
        pay=WechatPay(pay_config(config), clock),
        rules=RechargeRules(**config.recharge.model_dump(), foreign_prefixes=config.pay.foreign_prefixes),
        site=site_of(config),
        wake=partial(wake, store),
        account_rules=account_rules_of(config),
        counter_rules=CounterRules(**config.counter.model_dump()),
        audit=audit_settings(config),
        attach=attach_keys(config),
    )


def pay_config(config: Config) -> PayConfig:
    """The merchant of the configuration, with its keys read from their files."""
    pay = config.pay
    old_key = pay.old_api_v3_key.get_secret_value()
    files = {pay.public_key_id: pay.public_key_file, pay.old_public_key_id: pay.old_public_key_file}
    return PayConfig(
        app_id=config.wechat.app_id,
        mch_id=pay.mch_id,
        api_v3_key=pay.api_v3_key.get_secret_value(),
        merchant_serial=pay.merchant_serial,
        merchant_key_pem=_read(pay.merchant_key_file),
        # In this order: the first one is what WeChat is asked to sign with.
        public_keys={key_id: _read(path) for key_id, path in files.items() if path},
        platform_certs=tuple(_read(path) for path in pay.platform_cert_files),
        api_base=pay.api_base,
        notify_url=f"{config.site.base_url}/wechatpay/notify",
        refund_notify_url=f"{config.site.base_url}/wechatpay/refund",
        old_api_v3_keys=(old_key,) if old_key else (),
    )


def audit_settings(config: Config) -> AuditSettings:
    """Keys and places of the audit chain."""
    audit = config.audit
    return AuditSettings(
        keys=AuditKeys.parse(audit.key.get_secret_value()),
        anchor_dir=audit.anchor_dir,
        anchor_command=audit.anchor_command,
        embedded=config.billing.backend == "embedded",
        is_production=config.mode == "production",
    )


def attach_keys(config: Config) -> AttachKeys:
    """The keys of `attach`: the configured secret, the one before, and one derived from the cookie key.

    The last one signs where no secret is configured, and verifies what was signed before there was one.
    """
    secrets = (config.pay.attach_secret, config.pay.old_attach_secret, config.site.secret_key)
    texts = (secret.get_secret_value() for secret in secrets)
    return AttachKeys(tuple(derive_key(text, "attach") for text in texts if text))


def templates_of(config: Config) -> dict[Form, Template]:
    """The templates that have an id. Raises: ValueError - fields that cannot be filled."""
    said = config.wechat.templates
    all_of_them = {
        Form.MONEY: Template(said.money_id, fields_of(Form.MONEY, said.money_fields)),
        Form.NOTICE: Template(said.notice_id, fields_of(Form.NOTICE, said.notice_fields)),
    }
    return {form: template for form, template in all_of_them.items() if template.id}


def site_of(config: Config) -> Site:
    """What every layer may know of the site."""
    site = config.site
    return Site(
        name=site.name,
        base_url=site.base_url,
        intranet_url=site.intranet_url or f"{site.base_url}/self/",
        campus_networks=site.campus_networks,
        contact=Contact(**site.contact.model_dump()),
    )


def account_rules_of(config: Config) -> AccountRules:
    """What an account number is, and which spellings of it are equal."""
    return AccountRules(config.accounts.ignore_case, config.accounts.strip)


def import_rules_of(config: Config) -> ImportRules:
    """The bounds of an import of accounts."""
    return ImportRules(
        max_balance_fen=config.imports.max_balance_fen,
        approve_above_fen=config.imports.approve_above_fen,
        account_rules=account_rules_of(config),
    )


def shallow(services: Services) -> dict[str, Any]:
    """The fields of a base service as keyword arguments for a richer one."""
    return {field.name: getattr(services, field.name) for field in fields(Services)}


def count_security(store: redis.Redis, kind: str, number: int) -> None:
    """Add to the counters of security events that `/metrics` shows; lost while Redis is away."""
    with contextlib.suppress(redis.RedisError):
        store.hincrby(SECURITY_KEY, kind, number)


def security_counts(store: redis.Redis) -> dict[str, int]:
    """Return the counters of security events by kind; none while Redis is away."""
    counted: dict[bytes, bytes] = {}
    with contextlib.suppress(redis.RedisError):
        counted = store.hgetall(SECURITY_KEY)  # type: ignore[assignment]
    return {kind.decode(): int(number) for kind, number in counted.items()}


def wake(store: redis.Redis) -> None:
    """Wake one waiting worker for each lane. Redis away: it looks by itself within a second."""
    with contextlib.suppress(redis.RedisError), store.pipeline(transaction=False) as pipe:
        for key in WAKE_KEYS.values():
            pipe.lpush(key, 1)
            pipe.ltrim(key, 0, WAKE_KEEP - 1)
        pipe.execute()


class Waiter:
    """Waits for `wake` on a connection of its own; without Redis it just waits."""

    def __init__(self, url: str, key: str) -> None:
        self._key = key
        self._store = redis.Redis.from_url(
            url, socket_connect_timeout=0.5, socket_timeout=5.0, retry=Retry(NoBackoff(), 0)
        )

    def wait(self, seconds: float) -> None:
        """Return at a wake-up, or after `seconds`."""
        try:
            self._store.blpop([self._key], timeout=seconds)
        except redis.RedisError:
            time.sleep(seconds)


def _announce(site: Site, session: Session, crossings: Sequence[Crossing], now: datetime) -> None:
    alerts.raise_crossings(session, crossings, site=site, now=now)


def _callback(
    config: Config, services: HandlerServices, wechat: WechatClient, store: redis.Redis
) -> Callback:
    return Callback(
        CallbackConfig(
            token=config.wechat.token.get_secret_value(),
            mode=config.wechat.message_mode,
            app_id=config.wechat.app_id,
            encoding_aes_key=config.wechat.encoding_aes_key.get_secret_value(),
            original_id=config.wechat.original_id,
        ),
        ReplyStore(store),
        build_robot(ROUTES, services),
        services.clock,
        partial(customer.send_text, wechat),
    )


def _identity(config: Config, clock: Clock) -> UnifiedIdentity:
    section = config.identity
    if section.kind == "cas":
        return Identity(
            IdentityConfig(
                section.base_url, section.account_attribute, section.timeout_s, account_rules_of(config)
            )
        )
    return OidcIdentity(
        OidcConfig(
            issuer=section.base_url,
            client_id=section.client_id,
            client_secret=section.client_secret.get_secret_value(),
            account_claim=section.account_attribute or "sub",
            timeout_s=section.timeout_s,
            account_rules=account_rules_of(config),
        ),
        clock,
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
