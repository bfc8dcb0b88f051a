"""Any change of one row of the journal, its seals, or the ledger is found, whatever is computed anew."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from models.db.engine import Database
from payments.audit import book_check
from payments.audit.keys import AuditKeys, new_key
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.audit.book_world import BookWorld

TABLES = {
    "journal": "id",
    "journal_seal": "position",
    "ledger_entry": "id",
    "ledger_posting": "id",
    "ledger_seal": "position",
}
WAYS = ("update", "delete", "insert", "cut", "swap")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, credentials: Credentials) -> Iterator[BookWorld]:
    """Business of every kind under two keys, sealed and anchored."""
    folder = tmp_path_factory.mktemp("sealed")
    with pytest.MonkeyPatch.context() as patch:
        world = BookWorld(make_template(folder), folder / "money.db", credentials, patch)
        order_no = world.live()[0]
        first = world.services.audit.keys.keys[0]
        world.approved(order_no)
        world.later()
        world.cash(2000)
        world.agreed()
        world.later()
        world.seal()
        world.use_keys(AuditKeys((first,)))
        assert world.night() == {}
        yield world
        world.close()


def value_like(old: Any, drawn: int) -> Any:
    """Another value of the same kind."""
    if old is None:
        return f"x{drawn}"
    if isinstance(old, int):
        return old + (drawn or 1)
    text = str(old)
    if text.startswith("{"):
        return f'{{"amount_fen": {drawn}}}'
    if text[4:5] == "-" and text[13:14] == ":":
        return f"{2000 + drawn % 26}{text[4:]}"
    at = drawn % len(text) if text else 0
    return f"{text[:at]}{'0' if text[at : at + 1] != '0' else '1'}{text[at + 1 :]}" if text else "x"


class Intruder:
    """One change to a copy of the database; False when it changed nothing or the rows do not allow it."""

    def __init__(self, raw: sqlite3.Connection, table: str, drawn: int) -> None:
        self.raw, self.table, self.key, self.drawn = raw, table, TABLES[table], drawn
        self.columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
        self.keys = [row[0] for row in raw.execute(f"SELECT {self.key} FROM {table} ORDER BY {self.key}")]  # noqa: S608

    def row(self, key: int) -> list[Any]:
        query = f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {self.key} = ?"  # noqa: S608
        return list(self.raw.execute(query, (key,)).fetchone())

    def write(self, values: list[Any]) -> None:
        marks = ", ".join("?" * len(values))
        self.raw.execute(f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES ({marks})", values)  # noqa: S608

    def remove(self, keys: list[int]) -> None:
        for key in keys:
            self.raw.execute(f"DELETE FROM {self.table} WHERE {self.key} = ?", (key,))  # noqa: S608

    def update(self) -> None:
        key = self.keys[self.drawn % len(self.keys)]
        old = self.row(key)
        number = (self.drawn // len(self.keys)) % len(self.columns)
        new = [*old]
        new[number] = value_like(old[number], self.drawn)
        self.remove([key])
        self.write(new)

    def delete(self) -> None:
        self.remove([self.keys[self.drawn % len(self.keys)]])

    def insert(self) -> None:
        copy = self.row(self.keys[self.drawn % len(self.keys)])
        copy[self.columns.index(self.key)] = self.keys[-1] + 1 + self.drawn % 3
        if self.table == "ledger_entry":
            copy[self.columns.index("key")] += "x"
        if self.table == "journal_seal":
            self.raw.execute("PRAGMA foreign_keys=OFF")
            copy[self.columns.index("journal_id")] = 10_000 + self.drawn
        self.write(copy)

    def cut(self) -> None:
        self.remove(self.keys[-1 - self.drawn % min(5, len(self.keys)) :])

    def swap(self) -> None:
        first, second = (
            self.keys[self.drawn % len(self.keys)],
            self.keys[-1 - self.drawn // 7 % len(self.keys)],
        )
        one, two = self.row(first), self.row(second)
        assume(one[1:] != two[1:])
        self.remove([first, second])
        at = self.columns.index(self.key)
        one[at], two[at] = two[at], one[at]
        self.write(one)
        self.write(two)


@settings(max_examples=120, print_blob=True)
@given(
    table=st.sampled_from(sorted(TABLES)),
    way=st.sampled_from(WAYS),
    drawn=st.integers(0, 2_000),
    sealed_anew=st.sampled_from(["no", "without keys", "with the names of the keys"]),
)
def test_any_change_of_one_row_is_found(
    sealed: BookWorld, table: str, way: str, drawn: int, sealed_anew: str
) -> None:
    event(f"{way} {table}, sealed anew: {sealed_anew}")
    folder = sealed.path.parent / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with closing(sqlite3.connect(sealed.path)) as raw, closing(sqlite3.connect(folder / "money.db")) as copy:
        raw.backup(copy)
    shutil.copytree(sealed.anchors, folder / "anchors")
    assert changed(folder / "money.db", table, way, drawn)
    world = copied(sealed, folder)
    try:
        if sealed_anew != "no" and table in {"journal", "journal_seal"}:
            named = sealed_anew == "with the names of the keys"
            world.reseal(lambda seal: seal.key_id if named else None)
        elif sealed_anew != "no":
            world.reseal_ledger()
        found = list(book_check.findings(world.services))
    finally:
        world.database.dispose()
    assert found, (table, way, drawn, sealed_anew)
    assert all(finding.subject and finding.detail for finding in found)


def changed(path: Path, table: str, way: str, drawn: int) -> bool:
    with closing(sqlite3.connect(path)) as raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        try:
            getattr(Intruder(raw, table, drawn), way)()
        except sqlite3.IntegrityError:
            assume(False)
        for _, sql in triggers:
            raw.execute(sql)
        raw.commit()
    return True


def copied(sealed: BookWorld, folder: Path) -> BookWorld:
    world = BookWorld.__new__(BookWorld)
    world.__dict__.update(sealed.__dict__)
    world.path, world.anchors = folder / "money.db", folder / "anchors"
    world.database = Database(f"sqlite:///{world.path}")
    world.services = replace(
        sealed.services,
        database=world.database,
        audit=replace(sealed.services.audit, anchor_dir=world.anchors),
    )
    return world


def test_the_copy_itself_is_sound(sealed: BookWorld) -> None:
    assert list(book_check.findings(sealed.services)) == []
    assert new_key().key_id != new_key().key_id
