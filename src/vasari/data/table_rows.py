"""Read the rows of CSV and TSV files: a cell under each name, or the reason why there is none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO

from vasari.data import opened
from vasari.data.delimited import read_records
from vasari.data.stored_row import StoredRow

_CHUNK = 2**20


def table_rows(file: IO[bytes], shown: str, delimiter: str) -> Iterator[StoredRow]:
    """Yield the rows of a delimited text, whose first row names the columns.

    Args:
        file: Unpacked, at its start.
        shown: What messages call it.
        delimiter: One character.
    """
    # The library's own limit of 131,072 characters costs a long cell.
    csv.field_size_limit(opened.MAX_LINE_BYTES)
    encoding = opened.text_encoding(file)
    text = io.TextIOWrapper(file, encoding=encoding, errors=opened.MARK_BAD_BYTES, newline="")
    names: list[str] | None = None
    for record in read_records(_lines(text), delimiter):
        where, number, cells = f"{shown}:{record.number}", record.number, record.cells
        if cells is None:
            yield StoredRow(where, None, record.problem, number)
            if names is None:
                return
        elif names is None:
            names = [name.strip() for name in cells]
            twice = next((name for name in names if name and names.count(name) > 1), "")
            if twice:
                yield StoredRow(where, None, f"two columns are called {twice!r}", number)
                return
        elif not all(opened.is_sound(cell) for cell in cells):
            name = encoding.removesuffix("-sig").upper()
            yield StoredRow(where, None, f"not valid {name}", number)
        elif len(cells) < len(names) or any(cells[len(names) :]):
            problem = f"{len(cells)} cells under {len(names)} column names"
            yield StoredRow(where, None, problem, number)
        else:
            yield StoredRow(where, dict(zip(names, cells, strict=False)), number=number)


def _lines(text: io.TextIOWrapper) -> Iterator[str | csv.Error]:
    """Yield the lines of a text with their line ends; one that is too long is an error instead."""
    while line := text.readline(opened.MAX_LINE_BYTES + 1):
        if len(line) <= opened.MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(("\n", "\r")):
            line = text.readline(_CHUNK)
        yield csv.Error(opened.too_long())
