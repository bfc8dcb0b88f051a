"""Shared by the cases: a fresh SQLite database with the product's own tables and seed.

`sh tests/cases/run_all.sh` runs all of them; each run.py prints lines and ends with PASS or FAIL.
"""
import os, sys, tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
HERE = Path(sys.argv[0]).resolve().parent
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)      # 12:00 in Guilin

PEOPLE = (("2400101001", "李小明"), ("2400101002", "王芳"), ("2400101003", "阿卜杜拉·热合曼"))

class Clock:
    def __init__(self, at=NOON): self.at = at
    def __call__(self): return self.at
    def go(self, s): self.at += timedelta(seconds=s)

def fresh(people=PEOPLE, at=NOON):
    from models import schema
    from models.db.engine import Database
    from billing.embedded import seed
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    db = Database(f"sqlite:///{folder/'t.db'}")
    schema.upgrade(db)
    with db.transaction() as s:
        seed.seed_catalogue(s); seed.seed_grant_policy(s)
        seed.seed_demo_accounts(s, [seed.DemoAccount(n, m) for n, m in people], at)
    return db, folder

def services(db, clock):
    """What the counter and the use cases of people need, on that database."""
    from typing import Any, cast
    from billing.embedded.engine import EmbeddedBilling
    from payments.services import Services
    from tests.builders import RULES, SITE, ScriptedPay
    return Services(database=db, clock=clock, billing=EmbeddedBilling(db, clock), pay=cast(Any, ScriptedPay()),
                    rules=RULES, site=SITE, wake=lambda: None)

def import_accounts(db, path, *, now):
    """Import a table as an operator whom no total stops."""
    from billing.embedded import importing
    from models.values.actor import Actor
    rules = importing.ImportRules(approve_above_fen=10**10)
    return importing.import_accounts(db, path, actor=Actor.from_name("anna"), now=now, rules=rules)

def balance(db, account):
    from sqlalchemy import select
    from models.ledger import Account
    with db.reading() as s:
        return s.scalar(select(Account.balance_fen).where(Account.account_no == account))

def orders(db):
    from sqlalchemy import select
    from models.order import Order
    with db.reading() as s:
        return [(o.account_no, o.amount_fen, o.status.value if hasattr(o.status, 'value') else o.status) for o in s.scalars(select(Order).order_by(Order.id))]

def verdict(ok, text=""):
    print(("PASS" if ok else "FAIL") + (f": {text}" if text else ""))
    sys.exit(0 if ok else 1)
