"""Errors of tables and their cells. Texts are Chinese, for the operator who brought the file."""

from __future__ import annotations

from models.errors import Refused


class TableRefused(Refused):
    """The file as a whole cannot be used: format, header, size, or a column that is not understood."""

    code = "E-TABLE"


class CellError(Refused):
    """The text of one cell is not what its column holds; `text` says why, without naming the place."""

    code = "E-CELL"


class RowError(CellError):
    """A row that cannot be used: its line in the file, the column by its header, and the reason."""

    code = "E-ROW"

    def __init__(self, line_no: int, reason: str, column: str | None = None) -> None:
        super().__init__(f"第 {line_no} 行{f'“{column}”' if column else ''}：{reason}")
        self.line_no = line_no
        self.column = column
        self.reason = reason
