"""Read rows from files: JSON lines, JSON, CSV and TSV (each gzipped or not) and Parquet.

Files are not trusted: they may be cut off, damaged, of another format than their name says, or made
to exhaust memory. A problem costs as little as can be told apart: a row, at worst the rest of one
file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.data.json_rows import json_lines, json_rows
from vasari.data.opened import open_data, unpacked
from vasari.data.parquet_rows import parquet_rows
from vasari.data.stored_row import StoredRow
from vasari.data.table_rows import table_rows

JSON_LINES: tuple[str, ...] = (".jsonl", ".json-lines", ".jsonl.gz", ".json-lines.gz")
"""Suffixes of files with one JSON object a line."""

SUFFIXES: tuple[str, ...] = (".json", *JSON_LINES, ".parquet", ".csv", ".tsv")
"""Suffixes that `read_rows` reads; it also reads `.json`, `.csv` and `.tsv` followed by `.gz`."""


def read_rows(
    path: Path,
    *,
    shown: str = "",
    rows_at: str = "",
    columns: Sequence[str] | None = None,
    suffix: str = "",
) -> Iterator[StoredRow]:
    """Yield a data file's rows as `StoredRow` objects; an unreadable row holds the reason instead.

    The format goes by the suffix; gzip is recognised by its first bytes, UTF-16 and UTF-32 by
    theirs. Blank lines are skipped.

    * JSON lines: one object a line. An object in which a key stands twice is a problem.
    * JSON: a list of objects, read piece by piece; or an object whose values are all objects or
      lists, where each becomes a row with its name in `_key` and itself in `_value`; or one object.
      JSON lines in a file called `.json` are read as such.
    * CSV, TSV: the first row names the columns. Cells are text. A row with fewer cells than names,
      with text beyond them or behind a closing quote, or with a quote that is never closed, is a
      problem; two columns of one name are one for the file.
    * Parquet: a value that cannot be read is a problem of its row, a damaged page of its row group.

    Args:
        path: A regular file.
        shown: What messages call the file; its path when empty.
        rows_at: Dotted place of the rows in a JSON document; empty for the document itself.
        columns: Columns of a Parquet file to read, as far as it has them; None for all.
        suffix: The format to read, whatever the file is called; empty goes by its name.

    Raises:
        DataError: There is no such file, it may not be opened, or no format has its suffix.
        MissingExtraError: A Parquet file, and pyarrow is not installed.
    """
    shown = shown or str(path)
    name = suffix or path.name.lower()
    if name.endswith(".parquet"):
        yield from parquet_rows(path, shown, columns)
        return
    plain = name.removesuffix(".gz")
    if not plain.endswith(SUFFIXES):
        raise DataError(f"{shown}: the suffix must be one of {', '.join(SUFFIXES)}")
    with open_data(path, shown) as raw:
        last = 0
        try:
            file = unpacked(raw, name, shown)
            if plain.endswith(".json"):
                rows = json_rows(path, file, raw, shown, rows_at)
            elif plain.endswith((".csv", ".tsv")):
                rows = table_rows(file, shown, "\t" if plain.endswith(".tsv") else ",")
            else:
                rows = json_lines(file, raw, shown)
            for row in rows:
                last = row.number
                yield row
        except DataError as error:  # of a kind that is not read, such as a zip archive
            yield StoredRow(shown, problem=str(error).removeprefix(f"{shown}: "), number=1)
        # Also a broken gzip file, and UTF-16 that breaks off.
        except (OSError, EOFError, zlib.error, MemoryError, UnicodeError) as error:
            problem = f"cannot be read any further: {error}"
            yield StoredRow(f"{shown}: after row {last}", problem=problem, number=last + 1)


def raise_problems(rows: Iterable[StoredRow]) -> Iterator[tuple[StoredRow, dict[str, Any]]]:
    """Yield (row, values of the row); raise a `DataError` at the first row that cannot be read.

    Raises:
        DataError: A row cannot be read; its place and the problem.
    """
    for row in rows:
        if row.values is None:
            raise DataError(f"{row.where}: {row.problem}")
        yield row, row.values
