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
from app.deliveries import deliver_alert, deliver_message
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
from models.clock import Clock, utc_now
from models.db.engine import Database
from models.site import Contact, CounterRules, RechargeRules, Site
from models.tidings import Form
from models.values.account_no import AccountRules
from payments import alerts, credit, notify, repairs, settle, swap, sweep
from payments.adjustments import approval as adjustments
from payments.adjustments import delivery as adjustment_delivery
from payments.audit import book_check, ledger_chain
from payments.audit import hash_chain as sealing
from payments.audit.keys import AuditKeys, AuditSettings
from payments.counter import confirmation
from payments.payouts import delivery as payout_delivery
from payments.periodic import Job, daily, every, monthly
from payments.reconcile import daily as reconcile
from payments.reconcile import monthly as fund_flow
from payments.refunds import delivery as refund_delivery
from payments.review import queue as reviews
from payments.services import Services
from payments.wechatpay.client import PayConfig, WechatPay
from web.captcha import Captchas
from web.identity import Identity, IdentityConfig, UnifiedIdentity
from web.oidc import OidcConfig, OidcIdentity
from web.services import WebServices

WAKE_KEY = "campusnet:wake"
# More tokens than workers could ever need; the list is trimmed so that it cannot grow.
WAKE_KEEP = 16
# How often the journal and the ledger are sealed, and how often stuck work is looked for.
SEAL_S = 5
SEAL_LEDGER_S = 600
SWEEP_S = 60
# How often sessions that went silent are looked for.
STALE_S = 300
# How soon somebody hears that the line is fast again, and when money and packages are looked at.
RESTORED_S = 120
ALERTS_HOUR = 10
# Campus time; a quiet hour: all books are read from end to end, and the heads of the chains sent away.
BOOK_CHECK_AT = (4, 10)
BOOK_CHECK_AGAIN_S = 1800
# Campus time; yesterday's bill is ready at ten.
RECONCILE_AT = (10, 10)
RECONCILE_AGAIN_S = 900
# On the first of the month, after the last day of the one before was reconciled.
FUND_FLOW_AT = (10, 40)
FUND_FLOW_AGAIN_S = 3600
# Before the working day: transfers of clerks that no bank list has confirmed in time.
COUNTER_JOBS = {"transfers": Job(confirmation.ask_about_unconfirmed, daily(7, 30))}


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
            wait=Waiter(self.config.redis.url).wait,
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


def build(config: Config, *, clock: Clock = utc_now) -> House:
    """Wire everything; opens no connection yet. Raises: ValueError, OSError - keys that cannot be used."""
    database = Database(config.database.url, pool_size=config.database.pool_size)
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
        accounting=registry.accounting_receiver(
            accounting, config.billing.embedded.accounting_secret.get_secret_value(), clock
        ),
    )
    notices = Notices(wechat, templates_of(config))
    periodic = COUNTER_JOBS | {
        **_audit_jobs(),
        "sweep": Job(sweep.sweep, every(SWEEP_S)),
        "alerts_restored": Job(alerts.watch_restored, every(RESTORED_S)),
        "alerts_balances": Job(alerts.watch_balances, daily(ALERTS_HOUR, 0)),
        "stale_sessions": Job(partial(_sweep_sessions, accounting), every(STALE_S)),
        "second-payments": Job(reviews.by_policy, every(SWEEP_S)),
        "reconcile": Job(
            partial(reconcile.due_job, foreign_prefixes=config.pay.foreign_prefixes),
            daily(*RECONCILE_AT),
            again_s=RECONCILE_AGAIN_S,
        ),
        "fund-flow": Job(
            partial(fund_flow.due_job, foreign_prefixes=config.pay.foreign_prefixes),
            monthly(1, *FUND_FLOW_AT),
            again_s=FUND_FLOW_AGAIN_S,
        ),
    }
    return House(config, database, store, wechat, notices, web, accounting, _deliveries(notices), periodic)


def _deliveries(notices: Notices) -> dict[str, Deliver]:
    """Return who delivers which kind of outbox item."""
    return {
        "settle": settle.deliver,
        "credit": credit.deliver,
        swap.KIND: swap.deliver,
        "refund": refund_delivery.deliver,
        "payout": payout_delivery.deliver,
        repairs.KIND: repairs.deliver,
        adjustments.KIND: adjustment_delivery.deliver,
        "inbox": notify.deliver,
        "message": partial(deliver_message, notices),
        alerts.JOB: partial(deliver_alert, notices),
    }


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


def wake(store: redis.Redis) -> None:
    """Tell one waiting worker that something is due. Redis away: it looks by itself within a second."""
    with contextlib.suppress(redis.RedisError), store.pipeline(transaction=False) as pipe:
        pipe.lpush(WAKE_KEY, 1)
        pipe.ltrim(WAKE_KEY, 0, WAKE_KEEP - 1)
        pipe.execute()


class Waiter:
    """Waits for `wake` on a connection of its own; without Redis it just waits."""

    def __init__(self, url: str) -> None:
        self._store = redis.Redis.from_url(
            url, socket_connect_timeout=0.5, socket_timeout=5.0, retry=Retry(NoBackoff(), 0)
        )

    def wait(self, seconds: float) -> None:
        """Return at a wake-up, or after `seconds`."""
        try:
            self._store.blpop([WAKE_KEY], timeout=seconds)
        except redis.RedisError:
            time.sleep(seconds)


def _announce(site: Site, session: Session, crossings: Sequence[Crossing], now: datetime) -> None:
    alerts.raise_crossings(session, crossings, site=site, now=now)


def _sweep_sessions(accounting: Accounting, _services: Services) -> None:
    accounting.sweep()


def _audit_jobs() -> dict[str, Job]:
    return {
        "seal": Job(sealing.seal, every(SEAL_S)),
        "seal-ledger": Job(ledger_chain.seal_ledger, every(SEAL_LEDGER_S)),
        "book-check": Job(book_check.nightly, daily(*BOOK_CHECK_AT), again_s=BOOK_CHECK_AGAIN_S),
    }


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
