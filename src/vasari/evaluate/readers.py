"""Read model outputs from files: Vasari's rows, lmms-eval's samples, VLMEvalKit's tables."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from vasari.core.errors import DataError
from vasari.data.rows import SUFFIXES, StoredRow, read_rows
from vasari.evaluate.protocols.stored_output import BENCHMARK_NAMES, StoredOutput, read_row

_OPTION_COLUMNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AMBIGUOUS = ("mathv", "cmath")
"""Names of benchmarks that begin or end other words."""

_IDENTITIES = ("pid", "id", "question_id", "qid", "sample_index")
_SPREADSHEETS = (".xlsx", ".xls", ".pkl")
_TABLES = (".tsv", ".csv")


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
    * `.tsv`, `.csv`: VLMEvalKit's tables (`index`, `prediction`), its options in columns A, B, ...
      or in `choices`.
    * `.json`: a list of such rows, VLMEvalKit's table by columns, or rows by their id.
    * `.parquet`: such rows.

    Spreadsheets (`.xlsx`) are not read: VLMEvalKit's tool saves them as `.tsv`.

    Args:
        path: The file.
        benchmark: Benchmark of rows that name none; empty: from the file's name
            (`samples_mathvista_...`, `M_MathVista_MINI`).

    Raises:
        DataError: The file cannot be read, or is a spreadsheet.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_SPREADSHEETS):
        raise DataError(f"{path}: spreadsheets and pickles are not read; save it as .tsv or .jsonl")
    known = benchmark or _benchmark_of(path)
    model = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    rows = read_rows(path, suffix="" if name.endswith(SUFFIXES) else ".jsonl", exact=True)
    for row in _unfolded(rows) if name.endswith(".json") else rows:
        try:
            if row.values is None:
                raise DataError(row.problem)
            values = row.values
            if name.endswith(_TABLES):
                values = {key: cell for key, cell in values.items() if cell not in ("", "nan")}
            yield _as_output(values, benchmark=known, model=model)
        except DataError as error:
            yield BadRow(str(path), row.number, str(error)[:300])


def count_lines(path: Path) -> int:
    """Return the number of lines in a plain or gzipped file, an estimate of its number of rows.

    Lines after damage are not counted.

    Raises:
        DataError: The file is not there or may not be read.
    """
    count = 0
    try:
        with path.open("rb") as raw, contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            while chunk := file.read(2**20):
                count += chunk.count(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return count


def _unfolded(rows: Iterator[StoredRow]) -> Iterator[StoredRow]:
    """Yield the rows of a JSON document that maps ids to rows, or columns to cells."""
    first = next(rows, None)
    if first is None:
        return
    if first.values is None or "_key" not in first.values:
        yield from chain([first], rows)
        return
    named = {row.values["_key"]: row.values["_value"] for row in chain([first], rows) if row.values}
    if not all(isinstance(value, dict) for value in named.values()):
        found = [named]
    elif {"index", "prediction"} <= named.keys():
        found = [
            {name: column.get(key) for name, column in named.items()} for key in named["index"]
        ]
    else:
        found = [{"id": key, **row} for key, row in named.items()]
    for number, values in enumerate(found, start=1):
        yield StoredRow("", values, number=number)


def _as_output(row: Mapping[str, Any], *, benchmark: str, model: str) -> StoredOutput:
    if "resps" in row or "filtered_resps" in row:
        row = _from_lmms_eval(row)
    elif "prediction" in row and "response" not in row:
        row = _from_vlmevalkit(row)
    elif "extraction" in row and "official_extraction" not in row:  # MathVista's own results.
        row = {**row, "id": row.get("id", row.get("pid")), "official_extraction": row["extraction"]}
    return read_row({"model": model, **row}, benchmark=benchmark)


def _benchmark_of(path: Path) -> str:
    """Return the benchmark that a file's name mentions, the longest name first."""
    plain = "".join(character for character in path.name.lower() if character.isalnum())
    for name in sorted(BENCHMARK_NAMES, key=len, reverse=True):
        if name not in _AMBIGUOUS and name in plain:
            return BENCHMARK_NAMES[name]
    return ""


def _from_lmms_eval(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an lmms-eval sample: the question's fields are in `doc`, the text in `resps`."""
    document = row.get("doc")
    document = dict(document) if isinstance(document, Mapping) else {}
    response = row.get("filtered_resps") if row.get("resps") is None else row["resps"]
    while isinstance(response, list) and response:
        response = response[0]
    if not isinstance(response, str):
        raise DataError("'resps' holds no text")
    identities = [document[name] for name in _IDENTITIES if document.get(name)]
    answer = document.get("answer", row.get("target"))
    return {
        **document,
        "id": identities[0] if identities else row.get("doc_id"),
        "answer": row.get("target") if answer in (None, "") else answer,
        "choices": document.get("choices", document.get("options")),
        "response": response,
    }


def _from_vlmevalkit(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of VLMEvalKit: `index` is the id, `prediction` the response."""
    options = [str(row[letter]) for letter in _OPTION_COLUMNS if row.get(letter) not in (None, "")]
    choices = row.get("choices", row.get("options"))
    return {
        **row,
        "id": row.get("id", row.get("index")),
        "choices": choices if choices not in (None, "", "[]", []) else options or None,
        "response": row.get("prediction"),
    }
