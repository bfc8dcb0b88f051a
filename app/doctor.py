"""`campusnet doctor`: look at everything a running service depends on, and say how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import pydantic
import redis
from sqlalchemy.exc import SQLAlchemyError

from app import config as configuration
from app import wiring
from app.account_check import equal_accounts
from app.config import Config
from billing.embedded import ledger
from models import schema
from models.errors import ServiceError
from payments.audit import hash_chain as sealing
from payments.audit import invariants as conservation
from payments.wechatpay.errors import TradeNotFound

# Long enough for WeChat, never used for an order: those start with r and a date.
PROBE_NUMBER = "campusnetdoctorprobe01"


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `mend` is what to do when it is not well."""

    name: str
    well: bool
    detail: str
    mend: str = ""


def run(path: Path) -> int:
    """Print a line for each check. Returns: 0 when all is well, else 1."""
    findings = list(examine(path))
    for finding in findings:
        click.echo(f"{'✓' if finding.well else '✗'} {finding.name}: {finding.detail}")
        if not finding.well and finding.mend:
            click.echo(f"  → {finding.mend}")
    return 0 if all(finding.well for finding in findings) else 1


def examine(path: Path) -> Iterator[Finding]:
    """Check configuration first; the rest only when it can be read."""
    try:
        config = configuration.load(path)
    except (OSError, ValueError) as error:
        yield Finding(
            "configuration", well=False, detail=_short(error), mend="compare with config.example.toml"
        )
        return
    yield Finding("configuration", well=True, detail=f"{path} ({config.mode})")
    try:
        house = wiring.build(config)
    except (OSError, ValueError) as error:
        yield Finding("keys", well=False, detail=_short(error), mend="check the key files of [pay]")
        return
    yield Finding("keys", well=True, detail="merchant key and verification keys can be read")
    for name, look, mend in _checks(config, house):
        try:
            yield Finding(name, well=True, detail=look())
        except (ServiceError, SQLAlchemyError, redis.RedisError, OSError, ValueError) as error:
            yield Finding(name, well=False, detail=_short(error), mend=mend)
    house.close()


def _checks(config: Config, house: wiring.House) -> list[tuple[str, Callable[[], str], str]]:
    def database() -> str:
        schema.check(house.database)
        return f"{house.database.dialect}, tables are up to date"

    def books() -> str:
        with house.database.reading() as session:
            wrong = [*sealing.verify(session, house.web.clock()), *conservation.check(session)]
            wrong += [
                f"the balance of {account_no} is not the sum of its entries"
                for account_no in ledger.wrong_balances(session)
            ]
        if wrong:
            raise ValueError("; ".join(wrong[:3]))
        return "every paid fen is accounted for, balances are sums of entries, the journal is as sealed"

    def store() -> str:
        return f"Redis {house.redis.info('server')['redis_version']}"

    def wechat() -> str:
        house.wechat.tokens.get()
        faults = house.notices.faults()
        if faults:
            raise ValueError(f"[wechat.templates] {'; '.join(faults)}")
        return "access token received, templates are as the account has them"

    def pay() -> str:
        try:
            house.web.pay.query(PROBE_NUMBER)
        except TradeNotFound:
            return "our signature is accepted, and theirs verifies"
        return "answered"

    def identity() -> str:
        # OpenID Connect: this asks the server for its addresses and keys. CAS has nothing to ask.
        return house.web.identity.login_url(config.site.base_url).partition("?")[0]

    return [
        ("database", database, "campusnet db upgrade; check [database] url"),
        ("books", books, "do not repair by hand: campusnet orders show, campusnet review list"),
        (
            "accounts",
            partial(_accounts, config, house),
            "close all but one of them, or set [accounts] ignore_case and strip so that they differ",
        ),
        ("redis", store, "check [redis] url; Debian: apt-get install redis-server"),
        ("wechat", wechat, "check app_id and app_secret, and the IP whitelist of 公众平台 (error 40164)"),
        ("wechatpay", pay, "check mch_id, merchant_serial, merchant_key_file and the clock of this machine"),
        (
            "identity",
            identity,
            "check [identity] base_url; oidc: it is the issuer, without a slash at the end",
        ),
    ]


def _accounts(config: Config, house: wiring.House) -> str:
    equal = equal_accounts(house.database, wiring.account_rules_of(config))
    if equal:
        raise ValueError("; ".join(equal))
    return "every account number stands for one account"


def _short(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return f"{type(error).__name__}: {error}"[:300]
