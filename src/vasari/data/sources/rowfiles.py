"""Files to rows. What cannot be read costs as little as it can: a line, a row, at worst the rest of
one file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.data.prompt_file import MAX_LINE_BYTES

SUFFIXES: tuple[str, ...] = (
    ".json",
    ".jsonl",
    ".json-lines",
    ".jsonl.gz",
    ".json-lines.gz",
    ".parquet",
    ".csv",
    ".tsv",
)
"""Suffixes that `file_rows` reads."""

MAX_DOCUMENT_BYTES = 2 * 2**30
"""Largest JSON document that is not a list at its top: it is read whole."""

_CHUNK = 2**20
_BATCH = 64
# A parser that was cut off complains within its last token; earlier means that the text is wrong.
_CUT = 64


@dataclass(frozen=True, slots=True)
class RowItem:
    """One row of a file, or why there is none."""

    where: str
    """File and line or row, for a person."""
    values: Mapping[str, Any] | None = None
    problem: str = ""


def file_rows(path: Path, *, shown: str, rows: str = "") -> Iterator[RowItem]:
    """The rows of a JSON, JSON-lines, Parquet, CSV or TSV file, in order.

    Args:
        path: Its suffix is one of `SUFFIXES`.
        shown: How the file is called in `where`.
        rows: Dotted place of the rows in a JSON document; empty for the document itself.
    """
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _parquet(path, shown)
        elif name.endswith((".csv", ".tsv")):
            yield from _table(path, shown)
        elif name.endswith(".json"):
            yield from _json(path, shown, rows)
        elif name.endswith(SUFFIXES):
            yield from _lines(path, shown)
        else:
            yield RowItem(
                shown, problem=f"files of this kind are not read; {', '.join(SUFFIXES)} are"
            )
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        yield RowItem(shown, problem=f"cannot be read (any further): {error}")


def json_document(path: Path) -> Any:
    """The whole JSON document of a file; bytes that are not UTF-8 stay marked, so that only their
    row is refused.

    Raises:
        ValueError: It is not JSON, too deep, or larger than `MAX_DOCUMENT_BYTES`.
        OSError: It cannot be read.
    """
    if (size := path.stat().st_size) > MAX_DOCUMENT_BYTES:
        raise ValueError(
            f"{size:,} bytes; a JSON document may have {MAX_DOCUMENT_BYTES:,}: convert it to JSON"
            " lines"
        )
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig", "surrogateescape"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _parquet(path: Path, shown: str) -> Iterator[RowItem]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield RowItem(f"{shown}: row {number}", row)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        yield RowItem(f"{shown}: after row {number}", problem=f"not readable Parquet: {error}")


def _table(path: Path, shown: str) -> Iterator[RowItem]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        number = 0
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield RowItem(
                    f"{shown}: after row {number}", problem=f"not readable as a table: {error}"
                )
                return
            if row is None:
                return
            number += 1
            # Cells beyond the header have no name.
            yield RowItem(
                f"{shown}: row {number}",
                {name: cell for name, cell in row.items() if name is not None},
            )


def _lines(path: Path, shown: str) -> Iterator[RowItem]:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            where = f"{shown}:{number}"
            if len(line) > MAX_LINE_BYTES:
                yield RowItem(where, problem=f"the line is longer than {MAX_LINE_BYTES:,} bytes")
                return
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                yield RowItem(where, problem=f"not valid JSON: {error}")
                continue
            yield _checked(where, row)


def _json(path: Path, shown: str, rows: str) -> Iterator[RowItem]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        start = file.read(_CHUNK).lstrip()
        if start.startswith("[") and not rows:
            yield from _json_list(file, start[1:], shown)
            return
    try:
        document = json_document(path)
    except ValueError as error:
        # Some publish JSON lines under the name .json.
        if start.startswith("{") and not rows and _one_line_is_an_object(start):
            yield from _lines(path, shown)
        else:
            yield RowItem(shown, problem=f"not valid JSON: {error}")
        return
    yield from _document_rows(document, shown, rows)


def _one_line_is_an_object(start: str) -> bool:
    try:
        return isinstance(json.loads(start.splitlines()[0]), dict)
    except (ValueError, RecursionError):
        return False


def _document_rows(document: Any, shown: str, rows: str) -> Iterator[RowItem]:
    for part in filter(None, rows.split(".")):
        if not isinstance(document, dict) or part not in document:
            found = (
                f"the keys {', '.join(list(document)[:8])}"
                if isinstance(document, dict)
                else _kind(document)
            )
            yield RowItem(shown, problem=f"expected rows at {rows!r}, found {found}")
            return
        document = document[part]
    if isinstance(document, list):
        for number, row in enumerate(document, start=1):
            yield _checked(f"{shown}: row {number}", row)
    elif (
        isinstance(document, dict)
        and document
        and all(isinstance(value, dict | list) for value in document.values())
    ):
        for key, row in document.items():
            yield RowItem(
                f"{shown}: {key[:80]!r}",
                {"_key": key, "_value": row} | (row if isinstance(row, dict) else {}),
            )
    elif isinstance(document, dict):
        yield RowItem(shown, document)
    else:
        yield RowItem(
            shown, problem=f"expected a list or a mapping of rows, found {_kind(document)}"
        )


def _json_list(file: io.TextIOWrapper, buffer: str, shown: str) -> Iterator[RowItem]:
    """The entries of a JSON list, one at a time: a list of millions does not have to fit in
    memory.
    """
    decoder, place, number, ended = json.JSONDecoder(), 0, 0, False
    while True:
        place = _skip(buffer, place)
        entry: Any = None
        problem = "the list does not end"
        if place < len(buffer):
            if buffer[place] == "]":
                return
            try:
                entry, after = decoder.raw_decode(buffer, place)
            except (json.JSONDecodeError, RecursionError) as error:
                problem = f"not valid JSON: {error}"
                ended = ended or isinstance(error, RecursionError) or _wrong_not_cut(error, buffer)
            else:
                # A number or a word at the end of what was read may go on; brackets and quotes
                # cannot.
                if after < len(buffer) or ended:
                    place, number = after, number + 1
                    yield _checked(f"{shown}: row {number}", entry)
                    continue
        if ended or len(buffer) - place > MAX_LINE_BYTES:
            yield RowItem(f"{shown}: after row {number}", problem=problem)
            return
        more = file.read(max(_CHUNK, len(buffer) - place))
        ended = not more
        buffer, place = buffer[place:] + more, 0


def _skip(buffer: str, place: int) -> int:
    while place < len(buffer) and buffer[place] in " \t\r\n,":
        place += 1
    return place


def _wrong_not_cut(error: json.JSONDecodeError, buffer: str) -> bool:
    return not error.msg.startswith("Unterminated string") and error.pos < len(buffer) - _CUT


def _checked(where: str, row: Any) -> RowItem:
    if isinstance(row, dict):
        return RowItem(where, row)
    return RowItem(where, problem=f"expected an object, got {_kind(row)}")


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
