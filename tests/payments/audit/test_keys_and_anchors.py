"""The audit key and its change; heads of the chains that left the database."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models import journal
from models.audit import AuditAnchor
from payments.audit import anchor, book_check, hash_chain, ledger_chain
from payments.audit.key_change import begin_key
from payments.audit.keys import AuditKey, AuditKeys, AuditSettings, new_key
from tests.payments.audit.book_world import BookWorld

SECRET = "ab" * 32


def change_key(books: BookWorld) -> AuditKeys:
    """An operator begins another key; this process goes on with the one it has."""
    written: list[AuditKeys] = []
    begin_key(books.database, books.services.audit.keys, now=books.clock.now(), write=written.append)
    return written[0]


def note(books: BookWorld) -> None:
    with books.database.transaction() as session:
        journal.note(session, "test", order_no=None, actor="test", now=books.clock.now())


def test_a_key_text_is_read_and_written_line_by_line() -> None:
    text = f"k1 {SECRET} 1 1\nk2 {SECRET[::-1]} 70 3\n"
    keys = AuditKeys.parse(text)
    assert "".join(f"{key.line}\n" for key in keys.keys) == text
    assert AuditKeys.parse(text.replace("\n", ";")) == keys
    assert AuditKeys.parse(f"k1 {SECRET}").keys == (AuditKey("k1", bytes.fromhex(SECRET)),)
    assert [key and key.key_id for key in map(keys.of_journal, (1, 69, 70))] == ["k1", "k1", "k2"]
    assert [key and key.key_id for key in map(keys.of_ledger, (2, 3))] == ["k1", "k2"]
    assert SECRET not in repr(keys)


@pytest.mark.parametrize(
    "text",
    [
        "k1",
        f"k1 {SECRET[:40]}",
        f"k1 {SECRET} 0 1",
        f"k1 {SECRET} 5 1\nk1 {SECRET} 9 2",
        f"k1 {SECRET} 5 1\nk2 {SECRET} 4 2",
        f"k1 {SECRET} 5 2\nk2 {SECRET} 9 1",
    ],
)
def test_a_key_text_that_leaves_a_doubt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="audit key"):
        AuditKeys.parse(text)


def test_a_key_is_changed_before_it_sealed_anything(books: BookWorld) -> None:
    for _ in range(2):
        books.use_keys(change_key(books))
        text = ";".join(key.line for key in books.services.audit.keys.keys)
        assert AuditKeys.parse(text) == books.services.audit.keys
    books.live()
    books.paid(600, credited=True)
    books.seal()
    assert books.check() == {}
    books.use_keys(change_key(books))
    books.paid(700, credited=True)
    books.seal()
    assert books.check() == {}


def test_an_installation_without_a_key_is_sealed_and_switches_over(books: BookWorld) -> None:
    books.use_keys(AuditKeys())
    books.live()
    assert books.check() == {}
    books.use_keys(change_key(books))
    books.paid(600, credited=True)
    books.seal()
    assert books.check() == {}
    first = books.services.audit.keys.keys[0]
    assert first.journal_from > 1
    # Seals from before the key stay as they were: changed rows among them are found, ...
    with books.intruder() as raw:
        raw.execute("UPDATE journal SET actor = 'other' WHERE id = 2")
    books.reseal(lambda seal: seal.key_id)
    # ... also when they are sealed anew: the first row under the key covers them.
    found = {place for check, place in books.check() if check == "journal"}
    assert f"row {first.journal_from}" in found


def test_each_key_seals_its_own_part_and_all_stay_verifiable(books: BookWorld) -> None:
    books.live()
    books.use_keys(change_key(books))
    books.paid(600, credited=True)
    books.seal()
    assert len(books.services.audit.keys.keys) == 2
    assert books.check() == {}
    old, new = books.services.audit.keys.keys
    # The old key alone, or in the place of the new one, verifies nothing of the new part.
    books.use_keys(AuditKeys((old,)))
    assert any("instead of" in said for said in books.seen().values())
    books.use_keys(AuditKeys((old, replace(new, secret=old.secret))))
    assert any("is not what was sealed" in said for said in books.seen().values())


@pytest.mark.parametrize("keys", [AuditKeys(), AuditKeys((new_key(),))], ids=["no key", "another key"])
def test_a_process_without_the_present_key_seals_nothing(books: BookWorld, keys: AuditKeys) -> None:
    books.live()
    books.use_keys(keys)
    note(books)
    with pytest.raises(hash_chain.ForeignKeyId):
        hash_chain.seal(books.services)
    books.clock.advance(7200)
    books.use_keys(AuditKeys())
    with pytest.raises(hash_chain.ForeignKeyId):
        book_check.nightly(books.services)
    # Checked all the same: what cannot be verified is reported, and holds no account.
    assert "journal" in {check for check, _ in books.wrong()}
    assert books.held() == set()


def test_a_key_change_that_cannot_be_written_down_changes_nothing(books: BookWorld) -> None:
    books.live()

    def full(_keys: AuditKeys) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        begin_key(books.database, books.services.audit.keys, now=books.clock.now(), write=full)
    note(books)
    hash_chain.seal(books.services)
    assert books.check() == {}


def test_ledger_seals_without_their_key_are_found(books: BookWorld) -> None:
    books.live()
    books.reseal_ledger()
    assert {check for check, _ in books.check()} >= {"ledger-chain", "anchor"}


def test_the_line_reaches_file_and_command(books: BookWorld, tmp_path: Path) -> None:
    books.live()
    received = tmp_path / "received"
    script = f"import sys; open({str(received)!r}, 'a').write(sys.stdin.read())"
    audit = replace(books.services.audit, anchor_command=(sys.executable, "-c", script))
    books.services = replace(books.services, audit=audit)
    assert anchor.send(books.services)
    lines = (books.anchors / anchor.FILE).read_text(encoding="utf-8").splitlines()
    assert received.read_text(encoding="utf-8").splitlines() == lines[-1:]
    assert anchor.Anchor.parse(lines[-1], books.services.audit.keys) is not None
    with books.database.reading() as session:
        assert [row.line for row in session.query(AuditAnchor).order_by(AuditAnchor.id)] == lines


def test_a_command_that_fails_leaves_the_anchor_to_the_next_try(books: BookWorld) -> None:
    books.live()
    audit = replace(books.services.audit, anchor_command=(sys.executable, "-c", "raise SystemExit(1)"))
    books.services = replace(books.services, audit=audit)
    with pytest.raises(Exception, match="non-zero exit status"):
        anchor.send(books.services)
    books.use_keys(books.services.audit.keys)
    assert books.check() == {}


def test_a_line_that_was_kept_elsewhere_finds_a_cut_journal(books: BookWorld, tmp_path: Path) -> None:
    books.live()
    saved = tmp_path / "mailbox"
    line = (books.anchors / anchor.FILE).read_text(encoding="utf-8")
    saved.write_text(f"From audit@example.edu.cn\n\nNov 28 host campusnet: {line}\n", encoding="utf-8")
    # The intruder had the machine too.
    for path in books.anchors.iterdir():
        path.unlink()
    with books.intruder() as raw:
        for statement in ("DELETE FROM audit_anchor", "DELETE FROM journal_seal", "DELETE FROM journal"):
            raw.execute(statement)
    assert not any(check == "anchor" for check, _ in books.seen())
    found = list(book_check.findings(books.services, lines=anchor.read_lines(saved)))
    assert any(finding.check == "anchor" and finding.holds for finding in found)


def test_forged_and_missing_lines_are_reported_and_hold_nothing(books: BookWorld) -> None:
    books.live()
    books.clock.advance(60)
    anchor.send(books.services)
    path = books.anchors / anchor.FILE
    first, second = path.read_text(encoding="utf-8").splitlines()
    forged = first.replace("journal=", "journal=1")
    path.write_text(f"{forged}\n{second}\n", encoding="utf-8")
    found = [finding for finding in book_check.findings(books.services) if finding.check == "anchor"]
    assert any("not signed with our key" in finding.detail for finding in found)
    assert any("is missing from anchors.log" in finding.detail for finding in found)
    assert not any(finding.holds for finding in found)


def test_an_anchor_that_is_not_sent_for_two_days_is_reported(books: BookWorld) -> None:
    books.live()
    books.clock.advance(3 * 86_400)
    assert ("anchor", "anchor overdue") in books.check()
    assert books.night() == {} or ("anchor", "anchor overdue") in books.wrong()
    assert books.night() == {}


def test_a_head_that_cannot_be_written_stops_no_sealing(books: BookWorld, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    keys = books.services.audit.keys
    books.services = replace(books.services, audit=AuditSettings(keys=keys, anchor_dir=blocked / "x"))
    note(books)
    hash_chain.seal(books.services)
    ledger_chain.seal_ledger(books.services)
    books.services = replace(books.services, audit=AuditSettings(keys=keys))
    assert books.check() == {}


def test_a_lost_key_is_followed_by_another_one(books: BookWorld) -> None:
    books.live()
    books.use_keys(AuditKeys())
    written: list[AuditKeys] = []
    with pytest.raises(hash_chain.ForeignKeyId):
        begin_key(books.database, AuditKeys(), now=books.clock.now(), write=written.append)
    begin_key(books.database, AuditKeys(), now=books.clock.now(), write=written.append, is_lost=True)
    books.use_keys(written[0])
    books.paid(600, credited=True)
    books.seal()
    found = [said for (check, _), said in books.check().items() if check == "journal"]
    assert [said.endswith("which is not configured") for said in found] == [True]
    assert books.held() != set()
    # The old name is good for nothing after the change.
    with books.intruder() as raw:
        raw.execute(
            "UPDATE journal_seal SET key_id = 'lost' "
            "WHERE position = (SELECT MAX(position) FROM journal_seal)"
        )
    assert any("is sealed with key lost instead of" in said for said in books.check().values())
