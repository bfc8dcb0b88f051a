"""Account imports: which file, who brought it, who approved it, and what each of its rows opened."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine

NUMBER_MAX = 32
FILE_NAME_MAX = 200


class ImportStatus(StrEnum):
    """PREPARED: read and stored, nothing opened. APPLYING: accounts are being opened, batch by batch."""

    PREPARED = "PREPARED"
    APPLYING = "APPLYING"
    APPLIED = "APPLIED"
    WITHDRAWN = "WITHDRAWN"


class AccountImport(Base):
    """One file of accounts. `rows`, `balances` and `total_fen` are of the accounts that it opens.

    `approved_by` is None where the total needed no second operator. Imports by automatic work, such as
    the openings that were there before this table, have a system name and an empty `file_sha256`.
    """

    __tablename__ = "account_import"
    __table_args__ = (
        CheckConstraint("total_fen >= 0", name="total_not_negative"),
        Index("ix_account_import_file_sha256", "file_sha256"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    status: Mapped[ImportStatus] = mapped_column(String(16))
    file_sha256: Mapped[str] = mapped_column(String(64))
    file_name: Mapped[str] = mapped_column(String(FILE_NAME_MAX))
    prepared_by: Mapped[str] = mapped_column(String(64))
    prepared_at: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(String(64))
    approved_at: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]
    rows: Mapped[int]
    packages: Mapped[int]
    total_fen: Mapped[int]


class AccountImportRow(Base):
    """One account of an import. `entry_id` is its opening entry, None before it and for a balance of 0."""

    __tablename__ = "account_import_row"
    __table_args__ = (
        UniqueConstraint("import_id", "account_no"),
        CheckConstraint("balance_fen >= 0", name="balance_not_negative"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("account_import.id"))
    line_no: Mapped[int]
    account_no: Mapped[str] = mapped_column(String(NUMBER_MAX))
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    department: Mapped[str] = mapped_column(String(64))
    balance_fen: Mapped[int]
    package_code: Mapped[str | None] = mapped_column(String(32))
    left_bytes: Mapped[int]
    ends_at: Mapped[datetime | None]
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("ledger_entry.id"), unique=True)
    opened_at: Mapped[datetime | None]


IMPORT_STATES = StateMachine(
    name="account_import",
    label="开户导入",
    model=AccountImport,
    states=ImportStatus,
    transitions={
        ImportStatus.PREPARED: frozenset({ImportStatus.APPLYING, ImportStatus.WITHDRAWN}),
        ImportStatus.APPLYING: frozenset({ImportStatus.APPLIED}),
    },
    number="id",
    refusal="该导入已有人处理，请重新查看",
)
