"""Accounts: opened, closed, looked up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from models.ledger import Account
from models.values.account_no import LONGEST, TYPED_LONGEST, AccountRules, is_account_no, is_prefix
from models.values.names import names_match
from models.values.tables.text import clean, half_width

_AT_ONCE = 500
# Written once, so that statements do not keep the numbers that they were asked for.
_GIVEN: BindParameter[str] = bindparam("given", expanding=True)
_BY_NUMBER = select(Account.account_no).where(Account.account_no.in_(_GIVEN))
_BY_LOWER = select(Account.account_no).where(func.lower(Account.account_no).in_(_GIVEN))


@dataclass(frozen=True)
class Named:
    """An account by its stored number, with its owner's full name."""

    account_no: str
    name: str


@dataclass(frozen=True)
class Group:
    """Whom an account belongs to: specials and grants may be for some of them only."""

    kind: str
    department: str


def plausible(account_no: str) -> bool:
    """Return True if an account may be stored under this text; older ones have signs that new ones lack."""
    return 0 < len(account_no) <= LONGEST and account_no.isascii() and account_no.isprintable()


def readable(text: str) -> str | None:
    """Return what an access device or a login calls the account, without what surrounds it, or None."""
    plain = clean(half_width(text))
    return plain if 0 < len(plain) <= TYPED_LONGEST and plain.isascii() and plain.isprintable() else None


def resolve(session: Session, texts: Collection[str], rules: AccountRules) -> dict[str, str]:
    """Map each text to the number of the account that it stands for; texts of none are left out.

    An account that is stored exactly so comes first, then the number without its realm, then, where
    case does not count, the only account that differs in case alone. Of two such accounts neither is
    chosen: they go on being found by their exact numbers.
    """
    wanted = {text: _candidates(text, rules) for text in texts}
    exact = set(_stored(session, _BY_NUMBER, {c for found in wanted.values() for c in found}))
    found = {text: next((c for c in names if c in exact), None) for text, names in wanted.items()}
    resolved = {text: number for text, number in found.items() if number is not None}
    if rules.ignore_case and len(resolved) < len(wanted):
        keys = {text: names[-1].lower() for text, names in wanted.items() if text not in resolved and names}
        by_key = defaultdict(list)
        for number in _stored(session, _BY_LOWER, set(keys.values())):
            by_key[number.lower()].append(number)
        resolved |= {text: by_key[key][0] for text, key in keys.items() if len(by_key[key]) == 1}
    return resolved


def resolve_one(session: Session, text: str, rules: AccountRules) -> str | None:
    """Return the number of the account that a text stands for, or None."""
    return resolve(session, [text], rules).get(text)


def find_active(session: Session, typed: str, rules: AccountRules) -> Named | None:
    """Return the account that takes money and is stored so, or whose number this is in another spelling."""
    name = active_name(session, typed)
    if name is not None:
        return Named(typed, name)
    number = resolve_one(session, typed, rules)
    name = None if number is None else active_name(session, number)
    return None if number is None or name is None else Named(number, name)


def find_owner(session: Session, typed: str, rules: AccountRules) -> Named | None:
    """As `find_active`, closed accounts included."""
    name = owner_name(session, typed)
    if name is not None:
        return Named(typed, name)
    number = resolve_one(session, typed, rules)
    name = None if number is None else owner_name(session, number)
    return None if number is None or name is None else Named(number, name)


def _candidates(text: str, rules: AccountRules) -> list[str]:
    plain = readable(text)
    if plain is None:
        return []
    return [number for number in dict.fromkeys((plain, rules.strip_realm(plain))) if plausible(number)]


def _stored(session: Session, query: Select[str], values: Collection[str]) -> Iterator[str]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield from session.scalars(query, {"given": ordered[start : start + _AT_ONCE]})


def equal_accounts(session: Session, rules: AccountRules) -> list[tuple[str, ...]]:
    """Return the groups of accounts that the rules call by one number, each in order.

    Nothing is done about them: each is found by its exact number, and by no other spelling.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    if rules.ignore_case:
        lower = func.lower(Account.account_no)
        doubled = select(lower).group_by(lower).having(func.count() > 1)
        for number in session.scalars(select(Account.account_no).where(lower.in_(doubled))):
            groups[rules.key(number)].add(number)
    with_realm = or_(*(_has_realm(realm) for realm in rules.realms)) if rules.realms else None
    if with_realm is not None:
        bearers = list(session.scalars(select(Account.account_no).where(with_realm)))
        bare = resolve(session, [rules.strip_realm(number) for number in bearers], rules)
        for number in bearers:
            other = bare.get(rules.strip_realm(number))
            groups[rules.key(number)] |= {number} | ({other} if other else set())
    return sorted(tuple(sorted(numbers)) for numbers in groups.values() if len(numbers) > 1)


def _has_realm(realm: str) -> ColumnElement[bool]:
    column = func.lower(Account.account_no)
    if is_prefix(realm):
        return column.startswith(realm.lower(), autoescape=True)
    return column.endswith(realm.lower(), autoescape=True)


def open_account(
    session: Session, *, account_no: str, name: str, kind: str, now: datetime, department: str = ""
) -> None:
    """Open an account without money. Raises: ValueError - no account number; IntegrityError - it exists."""
    if not is_account_no(account_no):
        raise ValueError("an account number is 1 to 32 letters, digits, dots, underscores and hyphens")
    account = Account(
        account_no=account_no, name=name, kind=kind, department=department, balance_fen=0, created_at=now
    )
    session.add(account)
    session.flush()  # later steps of this transaction refer to the account by its number


def close_account(session: Session, account_no: str) -> None:
    """Take no more money for this account; its owner still sees what is on it."""
    session.execute(update(Account).where(Account.account_no == account_no).values(active=False))


def owner_name(session: Session, account_no: str) -> str | None:
    """Return the full name of an account, closed ones included, or None. Never for strangers: mask it."""
    query = select(Account.name).where(Account.account_no == account_no)
    return session.scalar(query) if plausible(account_no) else None


def active_name(session: Session, account_no: str) -> str | None:
    """The full name of an account that takes money, or None. Never for strangers: mask it."""
    query = select(Account.name).where(Account.account_no == account_no, Account.active)
    return session.scalar(query) if plausible(account_no) else None


def group_of(session: Session, account_no: str) -> Group | None:
    """Kind and department of an account, or None."""
    query = select(Account.kind, Account.department).where(Account.account_no == account_no)
    row = session.execute(query).one_or_none() if plausible(account_no) else None
    return None if row is None else Group(*row)


def same_name(known: str, typed: str) -> bool:
    """Return True if two names look the same (see `models.values.names`)."""
    return names_match(known, typed)


def exists(session: Session, account_no: str) -> bool:
    """Whether there is, or was, such an account."""
    query = select(Account.account_no).where(Account.account_no == account_no)
    return plausible(account_no) and session.scalar(query) is not None


def some_accounts(session: Session, *, limit: int) -> list[str]:
    """The first active account numbers, for a demo."""
    query = select(Account.account_no).where(Account.active).order_by(Account.account_no).limit(limit)
    return list(session.scalars(query))
