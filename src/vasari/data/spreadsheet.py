"""Read the rows of a spreadsheet (`.xlsx`), a file of strangers: bounded in size and memory."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from vasari.core.errors import DataError, MissingExtraError
from vasari.data.stored_row import StoredRow

if TYPE_CHECKING:
    from zipfile import ZipInfo

SPREADSHEETS: tuple[str, ...] = (".xlsx", ".xlsm")
"""Suffixes of the files that `read_spreadsheet` reads."""

MAX_CELL_CHARS = 32_767
"""Characters that a cell holds; writers cut longer texts there without a word."""

MAX_UNPACKED_BYTES = 512 * 2**20
"""Most bytes of all parts of a workbook, unpacked: a small file can unpack to anything."""

MAX_ROWS = 1_048_576
"""Rows of a sheet, the format's own limit."""

MAX_ROW_ELEMENTS, MAX_ROW_CHARS = 100_000, 64 * 2**20
"""XML elements and characters of one row or one shared text, or of a whole smaller part."""

MAX_SHARED_TEXTS = 2 * 2**20
"""Texts of a workbook that cells refer to."""

MAX_COLUMNS = 4_096
"""Column names of a sheet."""

MAX_TOKEN_BYTES = 8 * 2**20
"""Bytes of one tag or comment: a parser goes over an unfinished one again and again."""

_CHUNK = 2**20
# How writers spell the control characters that XML forbids, such as a carriage return.
_CONTROL = re.compile(r"_x00([01][0-9A-Fa-f])_")


class _TooLargeError(ValueError):
    """A workbook is larger than the limits allow, or has what none needs."""


def read_spreadsheet(path: Path, *, shown: str = "") -> Iterator[StoredRow]:
    """Yield the rows of a workbook's first sheet by its column names, the first row with text.

    Cells are texts, numbers, truth values, or None where they are empty; dates are texts, as pandas
    writes them into a CSV. What a formula shows is not looked up: its text, such as "=5", is the
    cell. Rows without any cell are left out. `truncated` is true in rows with a text of as many
    characters as a cell holds.

    Args:
        path: A regular file.
        shown: What messages call the file; its path when empty.

    Raises:
        DataError: There is no such file, it is no workbook, or larger than the limits.
        MissingExtraError: openpyxl is not installed.
    """
    shown = shown or str(path)
    if not path.is_file():
        raise DataError(f"{shown}: cannot be read: there is no such file")
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(
            f"{shown}: reading a spreadsheet needs openpyxl: pip install 'vasari[evaluate]'"
        ) from error
    number = 0
    # openpyxl raises whatever its code comes upon in a damaged file.
    try:
        with path.open("rb") as file:
            _check_size(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles, which are not read
                # Not the values that formulas had: pandas makes a formula of any text that begins
                # with "=", which has none.
                book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
            try:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()  # some writers state wrong ones
                for row in _rows(sheet.iter_rows(values_only=True), shown):
                    number = row.number
                    yield row
            finally:
                book.close()
    except (BadZipFile, _TooLargeError, OSError) as error:
        raise DataError(f"{shown}: cannot be read as a spreadsheet: {error}") from error
    except DataError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not number:
            raise DataError(f"{shown}: cannot be read as a spreadsheet: {problem}") from error
        yield StoredRow(
            f"{shown}: after row {number}",
            problem=f"cannot be read any further: {problem}",
            number=number + 1,
        )


def _rows(rows: Iterator[Sequence[Any]], shown: str) -> Iterator[StoredRow]:
    names: list[str] | None = None
    for number, cells in enumerate(rows, start=1):
        width = len(cells) if names is None else len(names)
        if names is None and width > MAX_COLUMNS:
            raise DataError(f"{shown}: more than {MAX_COLUMNS:,} columns")
        values = [_cell(cell) for cell in cells[:width]]
        beyond = _has_text(cells[width:])
        if not beyond and not _has_text(values):
            continue
        if names is None:
            names = ["" if value is None else str(value).strip() for value in values]
            twice = next((name for name in names if name and names.count(name) > 1), "")
            if twice:
                raise DataError(f"{shown}: two columns are called {twice!r}")
            continue
        where = f"{shown}: row {number}"
        if beyond:
            yield StoredRow(where, problem="a cell has no column name", number=number)
            continue
        missing = [None] * (len(names) - len(values))
        row = dict(zip(names, [*values, *missing], strict=False))
        if any(isinstance(value, str) and len(value) >= MAX_CELL_CHARS for value in values):
            row["truncated"] = True
        yield StoredRow(where, row, number=number)


def _has_text(cells: Sequence[Any]) -> bool:
    # Counting is quick: one stray cell in the last column makes a row of 16,384 cells.
    return cells.count(None) < len(cells) and any(cell not in (None, "") for cell in cells)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: chr(int(found.group(1), 16)), value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(getattr(value, "text", value))  # a formula over several cells


def _check_size(file: Any) -> None:
    """Raise unless the parts of a workbook are small enough for a parser that holds each row.

    Raises:
        _TooLargeError: A limit is exceeded, or a part declares entities, which no writer does.
        BadZipFile: It is no zip file, or damaged.
    """
    with ZipFile(file) as archive:
        parts = archive.infolist()
        # No part unpacks to more than it states: reading ends there.
        if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
            raise _TooLargeError(
                f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes; save it as .tsv"
            )
        for part in parts:
            if part.filename.lower().endswith((".xml", ".rels")):
                _check_part(archive, part)
    file.seek(0)


def _check_part(archive: ZipFile, part: ZipInfo) -> None:
    meter, parser, taken = _Meter(), expat.ParserCreate(), 0
    parser.StartElementHandler = meter.element
    parser.CharacterDataHandler = meter.text
    parser.StartDoctypeDeclHandler = meter.document_type
    with archive.open(part) as source:
        while chunk := source.read(_CHUNK):
            parser.Parse(chunk, False)
            taken += len(chunk)
            if taken - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                raise _TooLargeError(f"a tag has more than {MAX_TOKEN_BYTES:,} bytes")


class _Meter:
    """Counts what a part of a workbook holds as it is parsed, and raises `_TooLargeError`."""

    def __init__(self) -> None:
        self._rows = self._texts = self._elements = self._characters = 0

    def element(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        tag = name.rpartition(":")[2]
        if tag in ("row", "si"):
            self._elements = self._characters = 0
            self._rows += tag == "row"
            self._texts += tag == "si"
        if tag == "row" and float(attributes.get("r", 0)) > MAX_ROWS:
            raise _TooLargeError(f"a row's number is above {MAX_ROWS:,}")
        if self._rows > MAX_ROWS or self._texts > MAX_SHARED_TEXTS:
            raise _TooLargeError(
                f"it has more than {MAX_ROWS:,} rows or {MAX_SHARED_TEXTS:,} texts"
            )
        if self._elements > MAX_ROW_ELEMENTS:
            raise _TooLargeError(f"a row has more than {MAX_ROW_ELEMENTS:,} elements")

    def text(self, data: str) -> None:
        self._characters += len(data)
        if self._characters > MAX_ROW_CHARS:
            raise _TooLargeError(f"a row has more than {MAX_ROW_CHARS:,} characters")

    def document_type(self, *_: Any) -> None:
        # Entities, which may unfold to anything, are declared there; no writer does.
        raise _TooLargeError("it declares a document type")
