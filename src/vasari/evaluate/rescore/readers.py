"""Outputs from the files of others: our own rows, lmms-eval's samples, VLMEvalKit's tables. Bad
rows are named, never fatal.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.evaluate.protocols.stored_output import BENCHMARK_NAMES, StoredOutput, read_row
from vasari.evaluate.rescore.lines import MAX_LINE_BYTES, Line, read_lines

_TABLE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_LINES_A_CELL = 100_000
_AMBIGUOUS = ("mathv", "cmath")
"""Names of benchmarks that begin or end other words."""

_IDENTITIES = ("pid", "id", "question_id", "qid", "sample_index")
_SPREADSHEETS = (".xlsx", ".xls", ".pkl")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that holds no output."""

    file: str
    line: int
    """Where it begins, from 1."""
    reason: str


def read_outputs(path: Path, *, benchmark: str = "") -> Iterator[StoredOutput | BadRow]:
    """The outputs of a file in its order, one at a time; the layout is told from the file's ending
    and each row's fields.

    * JSON lines, `.gz` or not: our rows (`read_row`) or lmms-eval's samples (`doc`, `resps`).
    * `.tsv`, `.csv`: VLMEvalKit's tables (`index`, `prediction`), its options in columns A, B, ...
        or in `choices`.
    * `.json`: a list of such rows, or VLMEvalKit's table by columns; read whole, up to 64 MB a
        line.

    Spreadsheets (`.xlsx`) are not read: VLMEvalKit's tool saves them as `.tsv`.

    Args:
        path: The file.
        benchmark: For rows that do not name theirs; empty: from the file's name
            (`samples_mathvista_...`, `M_MathVista_MINI`).

    Raises:
        DataError: The file cannot be read, or is a spreadsheet.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_SPREADSHEETS):
        raise DataError(f"{path}: spreadsheets and pickles are not read; save it as .tsv or .jsonl")
    known = benchmark or benchmark_of_file(path)
    if name.endswith((".tsv", ".csv")):
        rows = _table_rows(path, "\t" if name.endswith(".tsv") else ",")
    elif name.endswith(".json"):
        rows = _document_rows(path)
    else:
        rows = (_json_row(line) for line in read_lines(path))
    model = _model_of_file(path)
    for number, row in rows:
        try:
            if isinstance(row, str):
                raise DataError(row)
            yield read_any(row, benchmark=known, model=model)
        except DataError as error:
            yield BadRow(str(path), number, str(error)[:300])


def read_any(row: Mapping[str, Any], *, benchmark: str = "", model: str = "") -> StoredOutput:
    """The output of one row in any of the layouts.

    Raises:
        DataError: It has none of the layouts, or lacks a field.
    """
    if "resps" in row or "filtered_resps" in row:
        row = _from_lmms_eval(row)
    elif "prediction" in row and "response" not in row:
        row = _from_vlmevalkit(row)
    elif "extraction" in row and "official_extraction" not in row:  # MathVista's own results.
        row = {**row, "id": row.get("id", row.get("pid")), "official_extraction": row["extraction"]}
    return read_row({"model": model, **row}, benchmark=benchmark)


def benchmark_of_file(path: Path) -> str:
    """The benchmark that a file's name mentions, the longest name first; empty when it mentions
    none.
    """
    plain = "".join(character for character in path.name.lower() if character.isalnum())
    for name in sorted(BENCHMARK_NAMES, key=len, reverse=True):
        if name not in _AMBIGUOUS and name in plain:
            return BENCHMARK_NAMES[name]
    return ""


def _model_of_file(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


_Numbered = tuple[int, "dict[str, Any] | str"]
"""Where a row begins, and the row or why it is none."""


def _json_row(line: Line) -> _Numbered:
    if line.error:
        return line.number, line.error
    try:
        row = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return line.number, f"not JSON: {error}"
    return line.number, row if isinstance(
        row, dict
    ) else f"a row must be an object, got {type(row).__name__}"


def _document_rows(path: Path) -> Iterator[_Numbered]:
    """The rows of one JSON document; JSON lines in a file called .json are read as such."""
    text, size = [], 0
    for line in read_lines(path):
        size += len(line.text)
        if line.error or size > MAX_LINE_BYTES:
            yield (
                line.number,
                line.error
                or f"the document is larger than {MAX_LINE_BYTES} bytes: save it as .jsonl",
            )
            return
        text.append(line)
    try:
        document = json.loads("".join(line.text for line in text))
    except (ValueError, RecursionError):
        yield from map(_json_row, text)
        return
    if isinstance(document, dict) and all(isinstance(column, dict) for column in document.values()):
        document = _by_columns(document)
    if not isinstance(document, list):
        document = [document]
    for number, row in enumerate(document, start=1):
        yield (
            number,
            row if isinstance(row, dict) else f"a row must be an object, got {type(row).__name__}",
        )


def _by_columns(columns: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of {column: {row: value}}; {id: row}, as MathVista's own results are, becomes the
    rows with their ids.
    """
    if "prediction" not in columns or "index" not in columns:
        return [{"id": key, **row} for key, row in columns.items()]
    return [{name: column.get(key) for name, column in columns.items()} for key in columns["index"]]


def _table_rows(path: Path, separator: str) -> Iterator[_Numbered]:
    """Rows of a table with a header line; a quoted cell may hold line breaks."""
    csv.field_size_limit(min(sys.maxsize, MAX_LINE_BYTES))
    lines = read_lines(path, blank=True)
    first = next(lines, None)
    if first is None:
        return
    if first.error:
        yield first.number, first.error
        return
    header = next(csv.reader([first.text], delimiter=separator))
    while (line := next(lines, None)) is not None:
        if line.error:
            yield line.number, line.error
            continue
        record, quotes = [line.text], line.text.count('"')
        while (
            quotes % 2
            and len(record) < _MAX_LINES_A_CELL
            and (more := next(lines, None)) is not None
        ):
            record.append(more.text)
            quotes += more.text.count('"')
        if len(record) > 1 or line.text.strip():
            yield line.number, _cells(header, "".join(record), separator)


def _cells(header: list[str], text: str, separator: str) -> dict[str, Any] | str:
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except (csv.Error, StopIteration) as error:
        return f"not a row of a table: {error}"
    if len(cells) != len(header):
        return f"{len(cells)} cells under {len(header)} headings"
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell not in ("", "nan")}


def _from_lmms_eval(row: Mapping[str, Any]) -> dict[str, Any]:
    """Our row of one of lmms-eval's samples: the question's fields lie in `doc`, the response in
    `resps`.
    """
    document = row.get("doc")
    document = dict(document) if isinstance(document, Mapping) else {}
    first = (
        _first_text(row.get("resps"))
        if row.get("resps") is not None
        else _first_text(row.get("filtered_resps"))
    )
    if first is None:
        raise DataError("'resps' holds no text")
    identity = next(
        (
            document[name]
            for name in ("pid", "id", "question_id", "qid", "sample_index")
            if document.get(name)
        ),
        None,
    )
    answer = document.get("answer", row.get("target"))
    return {
        **document,
        "id": row.get("doc_id") if identity is None else identity,
        "answer": row.get("target") if answer in (None, "") else answer,
        "choices": document.get("choices", document.get("options")),
        "response": first,
    }


def _first_text(value: Any) -> str | None:
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None


def _from_vlmevalkit(row: Mapping[str, Any]) -> dict[str, Any]:
    """Our row of one of VLMEvalKit's: `index` is the id, `prediction` the response, `extract` the
    extraction by its rule.
    """
    options = [str(row[letter]) for letter in _TABLE_LETTERS if row.get(letter) not in (None, "")]
    choices = row.get("choices", row.get("options"))
    return {
        **row,
        "id": row.get("id", row.get("index")),
        "choices": choices if choices not in (None, "", "[]", []) else options or None,
        "response": row.get("prediction"),
    }
