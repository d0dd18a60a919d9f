"""Read model outputs from files: Vasari's rows, lmms-eval's samples, VLMEvalKit's tables."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from vasari.core.errors import DataError
from vasari.data.rows import SUFFIXES, read_rows
from vasari.data.spreadsheet import SPREADSHEETS, read_spreadsheet
from vasari.data.stored_row import StoredRow
from vasari.evaluate.layouts import as_row, from_cells
from vasari.evaluate.protocols.cell_values import is_blank
from vasari.evaluate.protocols.stored_output import BENCHMARK_NAMES, StoredOutput, read_row
from vasari.evaluate.table_json import unfolded

_AMBIGUOUS = ("mathv", "cmath")
"""Names of benchmarks that begin or end other words."""

_TABLES = (".tsv", ".csv", *SPREADSHEETS)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a file that cannot be read as a model output, with the reason."""

    file: str
    line: int
    """Line at which the row begins, from 1."""
    reason: str


def read_outputs(path: Path, *, benchmark: str = "") -> Iterator[StoredOutput | BadRow]:
    """Yield the model outputs of a file in order, and a `BadRow` for each unreadable row.

    The layout is told from the file's ending and each row's fields.

    * JSON lines, `.gz` or not: our rows (`read_row`) or lmms-eval's samples (`doc`, `resps`). Files
      with any other ending are read as these.
    * `.tsv`, `.csv`, `.xlsx` (the first sheet): VLMEvalKit's tables (`index`, `prediction`), its
      options in columns A, B, ... or in `choices`; or our fields as columns.
    * `.json`: a list of such rows, a table by columns or in another layout of pandas, or rows by
      their id.
    * `.parquet`: such rows.

    The same rows are the same outputs whatever the format. A row whose `response` or `prediction`
    is there but blank, NaN or a word for nothing is an output without an answer. A row without an
    id is called by its place, "row 3".

    Args:
        path: The file.
        benchmark: Benchmark of rows that name none; empty: from the file's name
            (`samples_mathvista_...`, `M_MathVista_MINI`).

    Raises:
        DataError: The file cannot be read, or is of a format that is not read.
        MissingExtraError: A spreadsheet, and openpyxl is not installed.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    is_table = name.endswith(_TABLES)
    known = benchmark or _benchmark_of(path)
    model = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    for place, row in enumerate(_stored_rows(path, name), start=1):
        if row.values is not None and is_table and all(map(is_blank, row.values.values())):
            continue  # a row that a spreadsheet left empty
        try:
            if row.values is None:
                raise DataError(row.problem)
            values = from_cells(row.values) if is_table else row.values
            made = {"model": model, **as_row(values, benchmark=known)}
            if is_blank(made.get("id")):
                made["id"] = f"row {place}"
            yield read_row(made, benchmark=known)
        except DataError as error:
            yield BadRow(str(path), row.number, str(error)[:300])


def _stored_rows(path: Path, name: str) -> Iterator[StoredRow]:
    if name.endswith((".xls", ".xlsb", ".pkl", ".pickle")):
        raise DataError(
            f"{path}: pickles and spreadsheets other than .xlsx are not read; save it as .xlsx,"
            " .tsv or .jsonl"
        )
    if name.endswith(SPREADSHEETS):
        return read_spreadsheet(path)
    rows = read_rows(path, suffix="" if name.endswith(SUFFIXES) else ".jsonl")
    return unfolded(rows) if name.endswith(".json") else rows


def count_lines(path: Path) -> int:
    """Return the number of lines in a plain or gzipped file, an estimate of its number of rows.

    Lines after damage are not counted, and those of spreadsheets and Parquet files say nothing: 0.

    Raises:
        DataError: The file is not there or may not be read.
    """
    count = 0
    if path.name.lower().endswith((*SPREADSHEETS, ".parquet")) and path.is_file():
        return 0
    try:
        with path.open("rb") as raw, contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            while chunk := file.read(2**20):
                count += chunk.count(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return count


def _benchmark_of(path: Path) -> str:
    """Return the benchmark that a file's name mentions, the longest name first."""
    plain = "".join(character for character in path.name.lower() if character.isalnum())
    for name in sorted(BENCHMARK_NAMES, key=len, reverse=True):
        if name not in _AMBIGUOUS and name in plain:
            return BENCHMARK_NAMES[name]
    return ""
