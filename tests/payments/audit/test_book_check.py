"""The nightly check: each manipulation of the database is found, its place named, its account held."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from models.audit import EVERY_ACCOUNT
from models.clock import campus_date
from models.journal import JournalRow
from models.order import Credit
from payments.audit import book_check, hash_chain, holds
from payments.audit.checks.finding import Finding
from payments.audit.holds import AccountHeld
from payments.refunds import approval as refunds
from tests.payments.audit.book_world import ACCOUNT, OTHER, BookWorld
from tests.payments.refunds.refund_world import BERT


def row_id(books: BookWorld, what: str, order_no: str) -> int:
    with books.database.reading() as session:
        query = select(JournalRow.id).where(JournalRow.what == what, JournalRow.order_no == order_no)
        return session.scalars(query).one()


def at(place: str, check: str, found: dict[tuple[str, str], str]) -> list[str]:
    """What is said of a place; a second finding about it has a number of its own."""
    return [said for (name, where), said in found.items() if (name, where.split(" #")[0]) == (check, place)]


def test_sound_books_are_found_sound(books: BookWorld) -> None:
    books.live()
    assert books.seen() == {}
    assert books.check() == {}
    assert (books.held(), books.items()) == (set(), [])


def edited_and_sealed_anew(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    number = row_id(books, "credited", order_no)
    with books.intruder() as raw:
        raw.execute("UPDATE journal SET facts = '{\"amount_fen\": 1}' WHERE id = ?", (number,))
    books.reseal()
    return "journal", f"row {number}", "is sealed without a key"


def edited(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    number = row_id(books, "credited", order_no)
    with books.intruder() as raw:
        raw.execute("UPDATE journal SET actor = 'other' WHERE id = ?", (number,))
    return (
        "journal",
        f"row {number}",
        f"row {number} of {campus_date(books.clock.now())} is not what was sealed",
    )


def tail_cut(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    del order_no
    with books.intruder() as raw:
        (last,) = raw.execute("SELECT MAX(position) FROM journal_seal").fetchone()
        for position in range(last, last - 3, -1):
            (number,) = raw.execute(
                "SELECT journal_id FROM journal_seal WHERE position = ?", (position,)
            ).fetchone()
            raw.execute("DELETE FROM journal_seal WHERE position = ?", (position,))
            raw.execute("DELETE FROM journal WHERE id = ?", (number,))
    return "anchor", f"journal seal {last}", "it was cut or rewritten"


def journal_deleted(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    with books.intruder() as raw:
        raw.execute("DELETE FROM journal_seal")
        raw.execute("DELETE FROM journal")
        raw.execute("DELETE FROM audit_anchor")
    return "journal-rows", f"credited c{order_no}", f"has no row `credited` for c{order_no}"


def credit_invented(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    del order_no
    post(books, "credit:cr0invented", "credit", 100_000, "clearing:payments")
    return "entries", "credit:cr0invented", f"100000 fen on {ACCOUNT}) has nothing behind it"


def kind_invented(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    del order_no
    post(books, "gift:1", "gift", 100_000, "clearing:payments")
    return "entries", "gift:1", f"100000 fen on {ACCOUNT}) has nothing behind it"


def amounts_changed(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    with books.intruder() as raw:
        for sign in (1, -1):
            raw.execute(
                "UPDATE ledger_posting SET amount_fen = amount_fen + ? WHERE amount_fen * ? > 0 "
                "AND entry_id = (SELECT id FROM ledger_entry WHERE key = ?)",
                (sign * 9_000, sign, f"credit:c{order_no}"),
            )
        raw.execute("UPDATE account SET balance_fen = balance_fen + 9000 WHERE account_no = ?", (ACCOUNT,))
    books.reseal_ledger()
    return "entries", f"credit:c{order_no}", f"our records say 500 fen on {ACCOUNT}"


def one_leg_changed(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    with books.intruder() as raw:
        raw.execute(
            "UPDATE ledger_posting SET amount_fen = 9500 WHERE amount_fen > 0 AND entry_id = "
            "(SELECT id FROM ledger_entry WHERE key = ?)",
            (f"credit:c{order_no}",),
        )
    return "entries", f"credit:c{order_no}", f"the legs of credit:c{order_no} sum to 9000 fen"


def balance_changed(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    del order_no
    with books.intruder() as raw:
        raw.execute("UPDATE account SET balance_fen = 999999 WHERE account_no = ?", (ACCOUNT,))
    return "balances", ACCOUNT, f"the balance of {ACCOUNT} is 999999 fen, its entries sum to 1200"


def entry_deleted(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    key = f"credit:c{order_no}"
    with books.intruder() as raw:
        (number,) = raw.execute("SELECT id FROM ledger_entry WHERE key = ?", (key,)).fetchone()
        raw.execute("DELETE FROM ledger_posting WHERE entry_id = ?", (number,))
        raw.execute("DELETE FROM ledger_entry WHERE id = ?", (number,))
        raw.execute("UPDATE account SET balance_fen = balance_fen - 500 WHERE account_no = ?", (ACCOUNT,))
    return "entries", key, f"the ledger has no {key} for {ACCOUNT}"


def memo_changed(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    with books.intruder() as raw:
        raw.execute("UPDATE ledger_entry SET memo = 'x' WHERE key = ?", (f"credit:c{order_no}",))
    return "ledger-chain", "ledger seal 1", "are not what was sealed"


def post(books: BookWorld, key: str, kind: str, amount_fen: int, against: str) -> None:
    """An entry as the service would write it, and nothing else."""
    with books.intruder() as raw:
        at = books.clock.now().replace(tzinfo=None).isoformat(" ")
        number = raw.execute(
            "INSERT INTO ledger_entry (key, kind, memo, at) VALUES (?, ?, '', ?)", (key, kind, at)
        ).lastrowid
        for book, fen in ((f"account:{ACCOUNT}", amount_fen), (against, -amount_fen)):
            raw.execute(
                "INSERT INTO ledger_posting (entry_id, book, amount_fen) VALUES (?, ?, ?)",
                (number, book, fen),
            )
        raw.execute(
            "UPDATE account SET balance_fen = balance_fen + ? WHERE account_no = ?", (amount_fen, ACCOUNT)
        )


def row_made_unreadable(books: BookWorld, order_no: str) -> tuple[str, str, str]:
    del order_no
    with books.intruder() as raw:
        raw.execute("UPDATE journal SET facts = 'x' WHERE id = 2")
    return "journal", "unreadable", "after the beginning cannot be read"


ATTACKS = [
    row_made_unreadable,
    edited,
    edited_and_sealed_anew,
    tail_cut,
    journal_deleted,
    credit_invented,
    kind_invented,
    amounts_changed,
    one_leg_changed,
    balance_changed,
    entry_deleted,
    memo_changed,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_each_manipulation_is_found_and_its_account_held(
    books: BookWorld,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[BookWorld, str], tuple[str, str, str]],
) -> None:
    order_no = books.live()[0]
    check, place, said = attack(books, order_no)
    assert said in " ".join(at(place, check, books.seen()))
    alarms: list[str] = []
    monkeypatch.setattr(book_check.log, "error", lambda event, **_facts: alarms.append(event))
    assert said in " ".join(at(place, check, books.check()))
    assert {"books_wrong", "book_check_failed"} == set(alarms)
    assert (check, place) in {(item.facts["check"], item.facts["subject"]) for item in books.items()}
    with books.database.reading() as session:
        figures = book_check.figures(session, books.clock.now())
        assert holds.is_held(session, ACCOUNT)
    assert (figures.failures[check] > 0, figures.age_s) == (True, 0.0)
    number = books.asked(order_no)
    with pytest.raises(AccountHeld, match="正在核对"):
        refunds.approve(books.services, out_refund_no=number, actor=BERT)
    with pytest.raises(AccountHeld):
        books.requested()


@pytest.mark.parametrize("attack", [balance_changed, credit_invented, edited], ids=lambda a: a.__name__)
def test_other_accounts_are_not_held(
    books: BookWorld, attack: Callable[[BookWorld, str], tuple[str, str, str]]
) -> None:
    attack(books, books.live()[0])
    books.check()
    assert ACCOUNT in books.held()
    assert not {OTHER, EVERY_ACCOUNT} & books.held()


def test_a_cut_journal_holds_every_account(books: BookWorld) -> None:
    tail_cut(books, books.live()[0])
    books.check()
    assert EVERY_ACCOUNT in books.held()
    with books.database.reading() as session:
        assert holds.held_among(session, [ACCOUNT, OTHER]) == {ACCOUNT, OTHER}


def test_rows_lost_after_the_last_anchor_are_missed(books: BookWorld) -> None:
    books.live()
    books.paid(600, credited=True)
    books.seal()
    with books.intruder() as raw:
        (last,) = raw.execute("SELECT MAX(position) FROM journal_seal").fetchone()
        (number,) = raw.execute("SELECT journal_id FROM journal_seal WHERE position = ?", (last,)).fetchone()
        raw.execute("DELETE FROM journal_seal WHERE position = ?", (last,))
        raw.execute("DELETE FROM journal WHERE id = ?", (number,))
    assert ("anchor", f"journal seal {last}") in books.check()
    # The place is used again: the head that was lost is not forgotten.
    books.paid(600, credited=True)
    books.seal()
    assert ("anchor", f"journal seal {last}") in books.check()


def test_a_dropped_trigger_is_named_and_holds_no_account(books: BookWorld) -> None:
    books.live()
    with books.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER journal_no_delete")
    assert books.check() == {("triggers", "journal"): "the triggers that keep journal append-only are gone"}
    assert books.held() == set()


def test_more_findings_than_can_be_listed_hold_every_account(
    books: BookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.live()
    monkeypatch.setattr(book_check, "FINDINGS_MAX", 5)
    monkeypatch.setattr(book_check, "ITEMS_MAX", 2)
    many = [Finding("balances", f"A{number}", "wrong", (f"A{number}",)) for number in range(9)]
    monkeypatch.setattr(book_check, "_all", lambda _services, _lines: iter(many))
    book_check.run(books.services)
    assert books.held() == {*(f"A{number}" for number in range(5)), EVERY_ACCOUNT}
    # Two items of their own, one for the rest.
    assert [item.facts["subject"] for item in books.items()] == ["A0", "A1", "more"]


def test_a_run_that_was_cut_off_is_not_a_complete_one(
    books: BookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.live()

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(book_check, "_all", broken)
    with pytest.raises(ZeroDivisionError):
        book_check.run(books.services)
    with books.database.reading() as session:
        assert book_check.figures(session, books.clock.now()).age_s == float("inf")


def test_a_credit_that_is_on_its_way_is_not_a_finding(books: BookWorld) -> None:
    books.live()
    order_no = books.paid(800)
    with books.database.reading() as session:
        assert session.scalars(select(Credit.status).where(Credit.credit_no == f"c{order_no}")).one()
    assert books.check() == {}


def test_a_head_is_kept_with_every_sealing_turn(books: BookWorld) -> None:
    books.live()
    books.paid(600)
    hash_chain.seal(books.services)
    with books.intruder() as raw:
        (last,) = raw.execute("SELECT MAX(position) FROM journal_seal").fetchone()
        raw.execute("DELETE FROM journal WHERE id = (SELECT MAX(id) FROM journal)")
        raw.execute("DELETE FROM journal_seal WHERE position = ?", (last,))
    assert ("anchor", f"journal seal {last}") in books.seen()
