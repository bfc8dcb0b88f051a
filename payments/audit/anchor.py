"""Anchors: heads of the hash chains that leave the database, so that a cut or rewritten chain is found.

Every day one line goes to a file and to a command (mail, a remote log). Beside that file each machine
keeps the newest head it has sealed: rows that are lost between two anchors are found by it.
"""

from __future__ import annotations

import hmac
import os
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.audit import AuditAnchor, LedgerSeal
from models.clock import campus_date
from models.journal import GENESIS, JournalSeal
from payments.audit.keys import AuditKey, AuditKeys, AuditSettings, digest
from payments.services import Services

FILE = "anchors.log"
COMMAND_TIMEOUT_S = 60
LOOKUP = 500
# Sent daily: two missed turns are a finding.
OVERDUE = timedelta(hours=50)
_LINE = re.compile(
    r"campusnet-anchor 1 at=(\S+) host=(\S+) journal=(\d+):([0-9a-f]{64}) ledger=(\d+):([0-9a-f]{64}) "
    r"key=(\S+) mac=([0-9a-f]{64}|-)"
)

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True)
class Head:
    """The last place of a chain and its hash."""

    position: int = 0
    hash: str = GENESIS


@dataclass(frozen=True)
class Anchor:
    """Both heads at one time, as one machine sent them."""

    at: datetime
    host: str
    journal: Head
    ledger: Head

    def text(self, key: AuditKey | None) -> str:
        """The line that is sent, with its MAC when there is a key."""
        body = self._body(None if key is None else key.key_id)
        return f"{body} mac={'-' if key is None else digest(['anchor', body], key)}"

    def _body(self, key_id: str | None) -> str:
        return (
            f"campusnet-anchor 1 at={self.at.isoformat()} host={self.host} "
            f"journal={self.journal.position}:{self.journal.hash} "
            f"ledger={self.ledger.position}:{self.ledger.hash} key={key_id or '-'}"
        )

    @classmethod
    def parse(cls, line: str, keys: AuditKeys) -> Anchor | None:
        """Read a line and verify its MAC. Returns: None - not ours, or forged."""
        match = _LINE.fullmatch(line.strip())
        if match is None:
            return None
        try:
            at = datetime.fromisoformat(match[1])
        except ValueError:
            return None
        found = cls(at, match[2], Head(int(match[3]), match[4]), Head(int(match[5]), match[6]))
        key = keys.named(match[7])
        if key is not None:
            return found if hmac.compare_digest(found.text(key), line.strip()) else None
        if not keys.keys:
            # Without a key the positions are compared all the same.
            return found
        # A line without a MAC is from before the first key.
        is_early = found.journal.position < keys.keys[0].journal_from
        return found if is_early and match[7] == "-" else None


@dataclass(frozen=True)
class AnchorFault:
    """An anchor that the database contradicts; `is_proof` is False for what an outage explains too."""

    place: str
    text: str
    is_proof: bool = True


def heads(session: Session) -> tuple[Head, Head]:
    """The heads of the journal's and the ledger's chain."""
    found = []
    for table in (JournalSeal, LedgerSeal):
        query = select(table.position, table.hash).order_by(table.position.desc()).limit(1)
        row = session.execute(query).one_or_none()
        found.append(Head() if row is None else Head(row[0], row[1]))
    return found[0], found[1]


def send(services: Services) -> bool:
    """Send the heads off this machine; the daily job. Returns: whether there was a place to send them to.

    Raises: OSError, subprocess.SubprocessError - a place did not take it; the job is repeated.
    """
    audit = services.audit
    if not audit.is_anchored:
        return False
    with services.reading() as session:
        journal, ledger = heads(session)
    anchor = Anchor(services.clock(), _host(), journal, ledger)
    line = anchor.text(audit.keys.current)
    if audit.anchor_dir is not None:
        _append(audit.anchor_dir / FILE, line)
    if audit.anchor_command:
        subprocess.run(  # noqa: S603 - the operator's own command, no shell
            list(audit.anchor_command),
            input=f"{line}\n",
            text=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
            stdout=subprocess.DEVNULL,
        )
    # After the line has left: a row without its line would be a finding.
    with services.transaction() as session:
        session.add(AuditAnchor(at=anchor.at, position=journal.position, line=line))
    return True


def keep_head(services: Services) -> None:
    """Write the newest heads beside the anchors. Heads that the chains contradict are kept as an anchor."""
    audit = services.audit
    if audit.anchor_dir is None:
        return
    path = _head_file(audit.anchor_dir)
    try:
        with services.reading() as session:
            for line in _lines(path):
                kept = Anchor.parse(line, audit.keys)
                if kept is None or next(_contradictions(session, [kept]), None) is not None:
                    _append(audit.anchor_dir / FILE, line)
            journal, ledger = heads(session)
        _replace(path, Anchor(services.clock(), _host(), journal, ledger).text(audit.keys.current))
    except OSError:
        # Sealing goes on; the book check reports anchors that are not written.
        log.exception("anchor_not_written")


def check(
    session: Session, audit: AuditSettings, now: datetime, lines: Iterable[str] = ()
) -> Iterator[AnchorFault]:
    """Compare every anchor with the chains: those in the database, in the file, and in `lines`.

    Args:
        lines: anchors that were kept elsewhere, as they arrived (mail, a remote log).
    """
    sent = session.scalars(select(AuditAnchor).order_by(AuditAnchor.id).execution_options(yield_per=LOOKUP))
    yield from _check_lines(session, (row.line for row in sent), audit.keys, "the database")
    yield from _check_lines(session, lines, audit.keys, "the given file")
    if audit.anchor_dir is not None:
        yield from _check_folder(session, audit, audit.anchor_dir)
    if audit.is_anchored:
        newest = session.scalar(select(func.max(AuditAnchor.at)))
        begun = session.scalar(select(JournalSeal.position).limit(1)) is not None
        if begun and newest is not None and newest < now - OVERDUE:
            text = f"no anchor was sent since {campus_date(newest)}"
            yield AnchorFault("anchor overdue", text, is_proof=False)


def read_lines(path: Path) -> Iterator[str]:
    """The anchor lines of a saved file or mailbox: other lines are left out. Raises: OSError."""
    return (line for line in _lines(path) if "campusnet-anchor 1 " in line)


def _check_folder(session: Session, audit: AuditSettings, folder: Path) -> Iterator[AnchorFault]:
    try:
        head, kept = list(_lines(_head_file(folder))), list(_lines(folder / FILE))
    except OSError as error:
        yield AnchorFault("anchor file", f"{folder} cannot be read: {error.strerror}", is_proof=False)
        return
    yield from _check_lines(session, chain(kept, head), audit.keys, FILE)
    ours, known = f" host={_host()} ", set(kept)
    sent = session.scalars(select(AuditAnchor).order_by(AuditAnchor.id).execution_options(yield_per=LOOKUP))
    for row in sent:
        if ours in row.line and row.line not in known:
            text = f"the anchor of {campus_date(row.at)}, seal {row.position}, is missing from {FILE}"
            yield AnchorFault(f"anchor line {row.position}", text, is_proof=False)


def _check_lines(
    session: Session, lines: Iterable[str], keys: AuditKeys, source: str
) -> Iterator[AnchorFault]:
    for some in _batches(lines):
        parsed = []
        for line in some:
            # A remote log puts its own date in front.
            anchor = Anchor.parse(line[max(0, line.find("campusnet-anchor")) :], keys)
            if anchor is None:
                place = digest([line], None)[:12]
                text = f"a line of {source} is not an anchor, or not signed with our key: {line[:60]!r}"
                yield AnchorFault(f"anchor line {place}", text, is_proof=False)
            else:
                parsed.append(anchor)
        yield from _contradictions(session, parsed)


def _contradictions(session: Session, anchors: Sequence[Anchor]) -> Iterator[AnchorFault]:
    for name, table in (("journal", JournalSeal), ("ledger", LedgerSeal)):
        named = [(anchor, getattr(anchor, name)) for anchor in anchors]
        wanted = [head.position for _, head in named]
        found: dict[int, str] = {}
        for some in _batches(wanted):
            query = select(table.position, table.hash).where(table.position.in_(some))
            found |= dict(session.execute(query).all())
        for anchor, head in named:
            if head.position and found.get(head.position) != head.hash:
                text = (
                    f"the {name} no longer has seal {head.position} as it was anchored "
                    f"on {campus_date(anchor.at)}: it was cut or rewritten"
                )
                yield AnchorFault(f"{name} seal {head.position}", text)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while some := list(islice(iterator, LOOKUP)):
        yield some


def _host() -> str:
    return re.sub(r"[^0-9A-Za-z.-]", "-", socket.gethostname())[:60] or "-"


def _head_file(folder: Path) -> Path:
    return folder / f"head-{_host()}"


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.strip():
                    yield line.strip()
    except FileNotFoundError:
        return


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    written.write_text(f"{line}\n", encoding="utf-8")
    written.replace(path)
