"""Split a delimited text (CSV, TSV) into records; a stray quote does not swallow rows."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_RECORD_CHARS = 256 * 2**20
"""Characters of the lines that one quoted record may span."""

_MIN_WIDTH = 3
"""Columns from which on a line within a quoted text hardly has as many tabs as a row."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a delimited text: its cells, or the reason why it cannot be read."""

    number: int
    """Line at which the record begins, from 1."""
    cells: tuple[str, ...] | None = None
    problem: str = ""


Line = str | csv.Error
"""A physical line with its line end, or the reason why it cannot be had."""


class _Lines:
    """Physical lines; lines that were taken can be put back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines, self._back = lines, deque[Line]()
        self.taken = 0

    def take(self) -> Line | None:
        line = self._back.popleft() if self._back else next(self._lines, None)
        self.taken += line is not None
        return line

    def put_back(self, lines: Sequence[Line]) -> None:
        self._back.extendleft(reversed(lines))
        self.taken -= len(lines)


def read_records(lines: Iterator[Line], delimiter: str) -> Iterator[Record]:
    r"""Yield the records of a delimited text in order, the column names first.

    Fields in quotes may hold delimiters, doubled quotes and line ends (RFC 4180), as pandas writes
    them. Files that were written without quoting have quotes that are part of the text. A quote
    is taken as such where reading it as quoting is malformed and the line alone has a cell under
    each name. In a TSV of three columns or more whose names are not quoted it is also taken as such
    where quoting would join lines that all have as many tabs as a row. Text after a closing quote
    and a quote that is never closed are problems where the line cannot be read as unquoted.

    Args:
        lines: Physical lines with their line ends. An error among them costs its record.
        delimiter: One character.
    """
    source, width, unquoted = _Lines(lines), 0, False
    while True:
        number = source.taken + 1
        line = source.take()
        if line is None:
            return
        if isinstance(line, csv.Error):
            yield Record(number, problem=f"not a row of a table: {line}")
            continue
        if not line.strip() and delimiter not in line:
            continue  # a blank line
        record = _record(source, line, delimiter, width, unquoted)
        if not width and record.cells is not None:
            width = len(record.cells)
            unquoted = delimiter == "\t" and not line.startswith('"')
        yield record


def _record(source: _Lines, line: str, delimiter: str, width: int, unquoted: bool) -> Record:
    """Return the record that begins with `line`, and take the lines that it spans.

    Args:
        source: The lines behind `line`.
        line: The first line.
        delimiter: One character.
        width: Number of column names; 0 for the row that holds them.
        unquoted: Whether quotes may well be text: the names stand without.
    """
    number = source.taken
    plain = tuple(line.rstrip("\r\n").split(delimiter))
    if '"' not in line:
        return Record(number, plain)
    fits = len(plain) == width
    more: list[Line] = []
    try:
        cells = _quoted(source, line, delimiter, more)
    except csv.Error as error:
        source.put_back(more)
        if fits:
            return Record(number, plain)
        return Record(number, problem=f"not a row of a table: {error}")
    misread = width > 0 and len(cells) != width
    joins_rows = unquoted and _are_rows(more, delimiter, width)
    # The lines that a misread quote took are looked at one by one: there may be rows among them.
    if (fits and (misread or joins_rows)) or (misread and more):
        source.put_back(more)
        return Record(number, plain)
    return Record(number, cells)


def _are_rows(lines: Sequence[Line], delimiter: str, width: int) -> bool:
    """Whether there are lines, and all have as many cells as there are names, quotes aside."""
    alike = all(str(line).count(delimiter) + 1 == width for line in lines)
    return bool(lines) and alike and width >= _MIN_WIDTH


def _quoted(source: _Lines, line: str, delimiter: str, more: list[Line]) -> tuple[str, ...]:
    """Return the cells of a record read with quoting; the lines it takes are added to `more`.

    Raises:
        csv.Error: It is malformed, or spans more than `MAX_RECORD_CHARS`.
    """

    def spanned() -> Iterator[str]:
        yield line
        size = len(line)
        while (following := source.take()) is not None:
            more.append(following)
            if isinstance(following, csv.Error):
                raise following
            size += len(following)
            if size > MAX_RECORD_CHARS:
                raise csv.Error(f"a record is longer than {MAX_RECORD_CHARS:,} characters")
            yield following

    return tuple(next(csv.reader(spanned(), delimiter=delimiter, strict=True)))
