"""Beginning to seal with a new key: the first one, or the next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from models import journal
from models.db.engine import Database
from payments.audit import anchor, hash_chain, ledger_chain
from payments.audit.keys import AuditKey, AuditKeys, new_key

ACTOR = "system"


def begin_key(
    database: Database,
    keys: AuditKeys,
    *,
    now: datetime,
    write: Callable[[AuditKeys], None],
    is_lost: bool = False,
) -> AuditKey:
    """Seal what is unsealed with the keys so far, and a row about the change with the new key.

    From the commit on, processes without the new key cannot seal: they have to be restarted.

    Args:
        write: stores the key text outside the database; called before the commit, when the seals are
            written already. What it raises undoes the change.
        is_lost: the present key is gone with all its copies: its seals cannot be verified any more.
    Raises: ForeignKeyId - the chain has another key than `keys`, and it is not lost.
    """
    with database.transaction() as session:
        while not is_lost and hash_chain.seal_rows(session, keys) == hash_chain.BATCH:
            session.flush()
        session.flush()
        journal_head, ledger_head = anchor.heads(session)
        key = new_key(journal_head.position + 1, ledger_head.position + 1)
        before = keys.current
        journal.note(
            session,
            "audit-key",
            order_no=None,
            actor=ACTOR,
            now=now,
            key=key.key_id,
            before=None if before is None else before.key_id,
        )
        session.flush()
        changed = AuditKeys((*keys.keys, key))
        hash_chain.seal_rows(session, changed)
        ledger_chain.seal_empty_run(session, key, now)
        session.flush()
        write(changed)
    return key
