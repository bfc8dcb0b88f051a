"""Tables as files, for the tests of the reader."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl

COLUMNS = {
    "number": ("流水号", "reference"),
    "amount": ("金额", "amount"),
    "account_no": ("学号",),
    "name": ("姓名",),
    "note": ("附言",),
}
REQUIRED = ("number", "amount")


def write_csv(path: Path, rows: Sequence[str], *, encoding: str = "utf-8") -> Path:
    path.write_bytes("\r\n".join([*rows, ""]).encode(encoding))
    return path


def write_xlsx(path: Path, rows: Sequence[Sequence[object]], *, sheet: str = "Sheet") -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(list(row))
    book.save(path)
    return path


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Write a zip file again with changed members; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            changed = change(name, content)
            if changed is not None:
                archive.writestr(name, changed)
    return path
