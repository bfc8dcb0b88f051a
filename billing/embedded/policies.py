"""What an operator does with the rules: look at them, answer a question anew from a date on.

Both tables only grow. A row begins in the future, so that nothing that was counted, granted or bought
changes; who added it stands in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded.rules import rule_in_force
from models import journal
from models.errors import Refused
from models.package import Counted, GrantPolicy, MonthRule, TrafficRule

KIND_MAX = 32


class RuleRefused(Refused):
    """The new row would change the past, or makes no sense; the text says which."""

    code = "E-RULE"


@dataclass(frozen=True)
class Changes:
    """What a new rule answers differently; None: as the rule that is in force when it begins."""

    bytes_per_gb: int | None = None
    month_rule: MonthRule | None = None
    counted: Counted | None = None
    ended_is_used_up: bool | None = None
    rest_carries_over: bool | None = None


def all_rules(session: Session) -> list[TrafficRule]:
    """Every rule there is, by its beginning."""
    return list(session.scalars(select(TrafficRule).order_by(TrafficRule.effective_from)))


def add_rule(
    session: Session, changes: Changes, *, effective_from: datetime, actor: str, now: datetime
) -> TrafficRule:
    """Answer some of the questions anew from a date on. Raises: RuleRefused."""
    _check_future(effective_from, now)
    old = rule_in_force(session, effective_from)
    if old.effective_from == effective_from:
        raise RuleRefused("这一时刻已有生效的规则，请另选时间")
    answers = {
        name: getattr(old, name) if answer is None else answer for name, answer in vars(changes).items()
    }
    if all(getattr(old, name) == answer for name, answer in answers.items()):
        raise RuleRefused("与当时生效的规则相同，无需新增")
    if answers["bytes_per_gb"] <= 0:
        raise RuleRefused("1 GB 的字节数必须大于 0")
    rule = TrafficRule(effective_from=effective_from, **answers)
    session.add(rule)
    session.flush()  # the journal names its id
    facts = {name: answer for name, answer in vars(changes).items() if answer is not None}
    _note(session, "rule-added", rule.id, effective_from, actor=actor, now=now, **facts)
    return rule


def all_grants(session: Session) -> list[GrantPolicy]:
    """Every grant policy there is, by user group and beginning."""
    return list(session.scalars(select(GrantPolicy).order_by(GrantPolicy.kind, GrantPolicy.effective_from)))


def grants_on(session: Session, at: datetime) -> list[GrantPolicy]:
    """The newest policy of each user group at `at`; a month's grant is decided at its beginning."""
    newest = {policy.kind: policy for policy in all_grants(session) if policy.effective_from <= at}
    return list(newest.values())


def add_grant(
    session: Session,
    *,
    kind: str,
    quota_bytes: int,
    throttled_kbps: int,
    example: bool,
    effective_from: datetime,
    actor: str,
    now: datetime,
) -> GrantPolicy:
    """Give a user group (`*`: everybody) another monthly grant from a date on. Raises: RuleRefused."""
    _check_future(effective_from, now)
    if not (0 < len(kind) <= KIND_MAX and kind.isprintable() and kind == kind.strip()):
        raise RuleRefused("用户组名称无效")
    if quota_bytes < 0 or throttled_kbps <= 0:
        raise RuleRefused("赠送流量不能为负，限速必须大于 0")
    same = select(GrantPolicy.id).where(
        GrantPolicy.kind == kind, GrantPolicy.effective_from == effective_from
    )
    if session.scalar(same) is not None:
        raise RuleRefused("该用户组这一时刻已有赠送规则，请另选时间")
    policy = GrantPolicy(
        kind=kind,
        effective_from=effective_from,
        quota_bytes=quota_bytes,
        throttled_kbps=throttled_kbps,
        example=example,
    )
    session.add(policy)
    session.flush()  # the journal names its id
    facts = {"kind": kind, "quota_bytes": quota_bytes, "throttled_kbps": throttled_kbps}
    _note(session, "grant-added", policy.id, effective_from, actor=actor, now=now, **facts)
    return policy


def _check_future(effective_from: datetime, now: datetime) -> None:
    if effective_from <= now:
        raise RuleRefused("生效时间必须在将来：已经生效的规则不能更改")


def _note(
    session: Session, what: str, row_id: int, since: datetime, *, actor: str, now: datetime, **facts: object
) -> None:
    at = since.isoformat()
    journal.note(session, what, order_no=None, actor=actor, now=now, id=row_id, effective_from=at, **facts)
