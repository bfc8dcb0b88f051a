"""`campusnet doctor`: look at everything a running service depends on, and say how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import pydantic
import redis
from sqlalchemy.exc import SQLAlchemyError

from app import config as configuration
from app import doctor_books, doctor_push, doctor_security, wiring
from app.account_check import equal_accounts
from app.config import Config
from app.doctor_finding import Finding
from identity.login_states import LoginProof
from models import schema
from models.errors import ServiceError
from models.recovery import check_may_pay_out, last_verified_at
from payments.audit import anchor
from payments.wechatpay.errors import TradeNotFound

# The timer makes one a day.
BACKUP_HOURS_MAX = 26
# Long enough for WeChat, never used for an order: those start with r and a date.
PROBE_NUMBER = "campusnetdoctorprobe01"


def run(path: Path, anchors: Path | None = None) -> int:
    """Print a line for each check. Returns: 0 when all is well, else 1; a warning alone is well.

    Args:
        anchors: a file of anchor lines that were kept elsewhere.
    """
    findings = list(examine(path, anchors))
    for finding in findings:
        sign = "!" if finding.warning else "✓" if finding.well else "✗"
        click.echo(f"{sign} {finding.name}: {finding.detail}")
        if (finding.warning or not finding.well) and finding.remedy:
            click.echo(f"  → {finding.remedy}")
    return 0 if all(finding.well for finding in findings) else 1


def examine(path: Path, anchors: Path | None = None) -> Iterator[Finding]:
    """Check configuration first; the rest only when it can be read."""
    try:
        config = configuration.load(path)
    except (OSError, ValueError) as error:
        yield Finding(
            "configuration", well=False, detail=_short(error), remedy="compare with config.example.toml"
        )
        return
    yield Finding("configuration", well=True, detail=f"{path} ({config.mode})")
    yield from doctor_security.examine(path, config)
    try:
        house = wiring.build(config)
    except (OSError, ValueError) as error:
        yield Finding("keys", well=False, detail=_short(error), remedy="check the key files of [pay]")
        return
    yield Finding("keys", well=True, detail="merchant key and verification keys can be read")
    for name, look, remedy in _checks(config, house):
        try:
            yield Finding(name, well=True, detail=look())
        except schema.SchemaMismatch as error:
            yield Finding(name, well=False, detail=str(error), remedy="campusnet db upgrade")
            break
        except SQLAlchemyError as error:
            yield Finding(name, well=False, detail=_short(error), remedy=remedy)
            if name == "database":
                break
        except (ServiceError, redis.RedisError, OSError, ValueError) as error:
            yield Finding(name, well=False, detail=_short(error), remedy=remedy)
    else:
        yield from _later_checks(config, house, anchors)
    house.close()


def _later_checks(config: Config, house: wiring.House, anchors: Path | None) -> Iterator[Finding]:
    """Look at what needs a database that can be read."""
    yield from doctor_push.examine(house.redis)
    yield from _books(config, house, anchors)


def _books(config: Config, house: wiring.House, anchors: Path | None) -> Iterator[Finding]:
    try:
        lines = [] if anchors is None else list(anchor.read_lines(anchors))
    except OSError as error:
        yield Finding("anchor file", well=False, detail=_short(error))
        lines = []
    for line in doctor_books.examine(config, house, lines):
        yield Finding(
            line.name,
            well=line.state != "wrong",
            detail=line.detail,
            remedy=line.advice,
            warning=line.state == "warning",
        )


def _checks(config: Config, house: wiring.House) -> list[tuple[str, Callable[[], str], str]]:
    def database() -> str:
        schema.check(house.database)
        return f"{house.database.dialect}, tables are up to date"

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
        probe = LoginProof("doctor", "doctor")
        return house.web.identity.login_url(config.site.base_url, probe).partition("?")[0]

    return [
        ("database", database, "check [database] url, and that the server runs and lets this user in"),
        (
            "accounts",
            partial(_accounts, config, house),
            "close all but one of them, or set [accounts] ignore_case and strip so that they differ",
        ),
        (
            "backup",
            partial(_backup_age, config, house),
            "campusnet backup; enable campusnet-backup.timer (docs/recovery.md)",
        ),
        ("recovery", partial(_recovered, house), "campusnet recover --by NAME (docs/recovery.md)"),
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


def _backup_age(config: Config, house: wiring.House) -> str:
    with house.database.reading() as session:
        at = last_verified_at(session)
    if at is None:
        if config.mode == "demo":
            return "none, which is fine for a demonstration"
        raise ValueError("no verified backup yet")
    hours = (house.web.clock() - at).total_seconds() / 3600
    if hours > BACKUP_HOURS_MAX:
        raise ValueError(f"the last verified backup is {hours:.0f} hours old")
    return f"the last verified backup is {hours:.0f} hours old"


def _recovered(house: wiring.House) -> str:
    with house.database.reading() as session:
        check_may_pay_out(session)
    return "no restored database waits for it"


def _short(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
    if isinstance(error, SQLAlchemyError):
        # Without the statement and the link to the documentation of the library.
        return str(getattr(error, "orig", None) or error).strip().splitlines()[0][:300]
    return f"{type(error).__name__}: {error}"[:300]
