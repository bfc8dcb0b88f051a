"""Opening a table of any format we read, and its rows by our own column names.

table = open_table(path, COLUMNS, required=("account_no", "amount"))
for row in table.rows():
    try:
        amount_fen = row.parse("amount", parse_amount_fen, max_fen=...)
    except RowError as error:
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from models.values.tables import csv_file, xlsx_file
from models.values.tables.errors import CellError, RowError, TableRefused
from models.values.tables.headers import HEADER_WITHIN, Header, find_header, missing
from models.values.tables.raw import Damaged, RawRow
from models.values.tables.text import clean

T = TypeVar("T")
P = ParamSpec("P")

CELL_MAX: Final = 1000
_OLD_OFFICE: Final = b"\xd0\xcf\x11\xe0"
_PDF: Final = b"%PDF"


@dataclass(frozen=True)
class Limits:
    """How large a table may be; what is larger is refused before it is read."""

    file_bytes: int = 256 * 1024**2
    rows: int = 2_000_000
    unpacked_bytes: int = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: the line in the file and the cells by our own column names."""

    line_no: int
    _cells: Mapping[str, str | Damaged]
    _header: Header
    _problem: str = ""

    def has(self, column: str) -> bool:
        """Return True if the file has this column."""
        return column in self._header.places

    def __getitem__(self, column: str) -> str:
        """Return the cell without blanks around it, empty where the file has no such column.

        Raises:
            RowError: the row has too few or too many cells, or this cell is damaged.
        """
        if self._problem:
            raise RowError(self.line_no, self._problem)
        cell = self._cells.get(column, "")
        if isinstance(cell, Damaged):
            raise self.error(column, cell.reason)
        return cell

    def parse(self, column: str, parser: Callable[..., T], **settings: Any) -> T:
        """Return what `parser` makes of the cell. Raises: RowError - it made nothing of it."""
        try:
            return parser(self[column], **settings)
        except RowError:
            raise
        except CellError as error:
            raise self.error(column, error.text) from None

    def error(self, column: str, reason: str) -> RowError:
        """Return the error that names this row and the column by its title in the file."""
        return RowError(self.line_no, reason, self._header.title(column))


@dataclass(frozen=True)
class Table:
    """A file whose header is known and whose structure was checked to its end."""

    header: Header
    _raw: Callable[[], Iterator[RawRow]]
    _header_line: int
    _pads: bool

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header that hold anything, in flat memory, as often as asked."""
        for raw in self._raw():
            if raw.line_no > self._header_line and not raw.is_empty:
                yield self._row(raw)

    def above(self) -> Iterator[list[str]]:
        """Yield the cells of the rows above the header: titles, account numbers, periods."""
        for raw in self._raw():
            if raw.line_no >= self._header_line:
                return
            yield ["" if isinstance(cell, Damaged) else clean(cell) for cell in raw.cells]

    def _row(self, raw: RawRow) -> Row:
        problem = raw.problem or self._shape_problem(raw)
        cells = {
            name: _cell(raw.cells[place])
            for name, place in self.header.places.items()
            if place < len(raw.cells)
        }
        return Row(raw.line_no, cells, self.header, problem)

    def _shape_problem(self, raw: RawRow) -> str:
        """Name a row whose cells cannot stand under their titles: an unquoted comma, a cut-off line."""
        width, cells = len(self.header.titles), raw.cells
        if self._pads:
            return ""
        if len(cells) < width:
            return f"只有 {len(cells)} 列，表头有 {width} 列"
        if any(isinstance(cell, Damaged) or clean(cell) for cell in cells[width:]):
            return f"有 {len(cells)} 列，表头只有 {width} 列（含逗号的单元格须加引号）"
        return ""


def open_table(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    *,
    required: Sequence[str],
    limits: Limits = Limits(),
) -> Table:
    """Open a CSV or .xlsx file, find its header and check it to the end.

    Args:
        path: of the file; its content decides what it is, not its name.
        columns: our name of a column -> the titles it may have in the file.
        required: our columns without which the file is of no use.
        limits: caps on size.

    Raises:
        TableRefused: another format, damaged, too large, no such header, or a column twice.
        OSError: the file cannot be read.
    """
    beginning = _checked_beginning(path, limits)
    if beginning.startswith(xlsx_file.SIGNATURE):
        table = _open_xlsx(path, columns, required, limits)
    else:
        table = _open_csv(path, columns, required)
    for count, _ in enumerate(table.rows(), start=1):
        if count > limits.rows:
            raise TableRefused(f"表格超过 {limits.rows} 行，请分成几个文件")
    return table


def _checked_beginning(path: Path, limits: Limits) -> bytes:
    if path.stat().st_size > limits.file_bytes:
        raise TableRefused(f"文件超过 {limits.file_bytes // 1024**2} MB")
    with path.open("rb") as file:
        beginning = file.read(csv_file.READ_BYTES)
    if not beginning:
        raise TableRefused("文件是空的")
    if beginning.startswith(_OLD_OFFICE):
        raise TableRefused("不支持 .xls 或加密的 Excel 文件，请另存为 .xlsx 或 CSV")
    if beginning.startswith(_PDF):
        raise TableRefused("不支持 PDF，请导出为 .xlsx 或 CSV")
    if beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        raise TableRefused("文件是网页或 XML，请用表格软件另存为 .xlsx 或 CSV")
    return beginning


def _open_csv(path: Path, columns: Mapping[str, Sequence[str]], required: Sequence[str]) -> Table:
    encoding = csv_file.encoding_of(path)
    best = None
    for delimiter in csv_file.DELIMITERS:

        def raw(delimiter: str = delimiter) -> Iterator[RawRow]:
            return csv_file.read_csv(path, encoding, delimiter)

        found = _look_for_header(raw, columns, required)
        if isinstance(found, tuple):
            return Table(found[1], raw, found[0], _pads=False)
        best = _fewest_missing(best, found)
    raise _no_header(best or "")


def _open_xlsx(
    path: Path, columns: Mapping[str, Sequence[str]], required: Sequence[str], limits: Limits
) -> Table:
    xlsx_file.check_archive(path, unpacked_max=limits.unpacked_bytes)
    tables, best = [], None
    for sheet in xlsx_file.sheet_names(path):

        def raw(sheet: str = sheet) -> Iterator[RawRow]:
            return xlsx_file.read_sheet(path, sheet)

        found = _look_for_header(raw, columns, required)
        if isinstance(found, tuple):
            tables.append((sheet, Table(found[1], raw, found[0], _pads=True)))
        else:
            best = _fewest_missing(best, found)
    if len(tables) > 1:
        names = "、".join(f"“{sheet}”" for sheet, _ in tables)
        raise TableRefused(f"有多个工作表都像要导入的表（{names}），请只保留一个")
    if not tables:
        raise _no_header(best or "")
    return tables[0][1]


def _look_for_header(
    raw: Callable[[], Iterator[RawRow]], columns: Mapping[str, Sequence[str]], required: Sequence[str]
) -> tuple[int, Header] | str:
    """Return the line and the header, or which columns the row that fits best lacks."""
    best: str | None = None
    for row in islice(raw(), HEADER_WITHIN):
        cells = ["" if isinstance(cell, Damaged) else cell for cell in row.cells]
        header = find_header(cells, columns, required)
        if header is not None:
            _check_titles(row)
            return row.line_no, header
        best = _fewest_missing(best, missing(cells, columns, required))
    return best or ""


def _check_titles(row: RawRow) -> None:
    """Refuse a damaged title: its column may be one that decides, such as the direction of money."""
    for place, cell in enumerate(row.cells, start=1):
        if isinstance(cell, Damaged):
            raise TableRefused(f"第 {row.line_no} 行（表头）第 {place} 列：{cell.reason}")


def _fewest_missing(one: str | None, other: str) -> str:
    return other if one is None or 0 < len(other) < len(one) else one


def _no_header(lacking: str) -> TableRefused:
    return TableRefused(f"前 {HEADER_WITHIN} 行里没有找到表头，缺少：{lacking}")


def _cell(cell: str | Damaged) -> str | Damaged:
    if isinstance(cell, Damaged):
        return cell
    text = clean(cell)
    return Damaged(f"内容超过 {CELL_MAX} 个字符") if len(text) > CELL_MAX else text
