"""Read rows from files: JSON lines, JSON, CSV and TSV (each gzipped or not) and Parquet.

Files are not trusted: they may be cut off, damaged, of another format than their name says, or made
to exhaust memory. A problem costs as little as it can: a row, at worst the rest of one file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from vasari.core.errors import DataError, MissingExtraError
from vasari.data.delimited import read_records

JSON_LINES: tuple[str, ...] = (".jsonl", ".json-lines", ".jsonl.gz", ".json-lines.gz")
"""Suffixes of files with one JSON object a line."""

SUFFIXES: tuple[str, ...] = (".json", *JSON_LINES, ".parquet", ".csv", ".tsv")
"""Suffixes that `read_rows` reads; it also reads `.json`, `.csv` and `.tsv` followed by `.gz`."""

MAX_LINE_BYTES = 256 * 2**20
"""Longest line, unpacked: a small gzip file can unpack to anything."""

MAX_DOCUMENT_BYTES = 2 * 2**30
"""Largest JSON document, unpacked, that is not a list at its top: it is read whole."""

_CHUNK = 2**20
_PARQUET_BATCH = 64
_GZIP_MAGIC = b"\x1f\x8b"
# A parser that was cut off complains within its last token; earlier means that the text is wrong.
_CUT = 64


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of a data file: its values, or the reason why it cannot be read."""

    where: str
    """File and place for a message: `train.jsonl:7`, `train.parquet: row 7`."""

    values: dict[str, Any] | None = None
    """Values by column; None when the row cannot be read. Texts may hold lone surrogates: JSON can
    write them, and bytes of a JSON document that are not UTF-8 become some."""

    problem: str = ""
    """Why the row cannot be read; empty when it can."""

    number: int = 0
    """Number from 1: the line on which the row begins; in Parquet and JSON documents, the row."""

    share: float = 0.0
    """Share of the file read so far, in [0, 1]; 0 for tables and JSON documents."""


def read_rows(
    path: Path,
    *,
    shown: str = "",
    rows_at: str = "",
    columns: Sequence[str] | None = None,
    exact: bool = False,
    suffix: str = "",
) -> Iterator[StoredRow]:
    """Yield a data file's rows as `StoredRow` objects; an unreadable row holds the reason instead.

    The format goes by the suffix; gzip is recognised by its first bytes. Blank lines are skipped.

    * JSON lines: one object a line.
    * JSON: a list of objects, read piece by piece; or an object whose values are all objects or
      lists, where each becomes a row with its name in `_key` and itself in `_value`; or one object.
      JSON lines in a file called `.json` are read as such.
    * CSV, TSV: the first row names the columns. Cells are text, missing ones None, and cells beyond
      the names are left out.

    Args:
        path: A regular file.
        shown: What messages call the file; its path when empty.
        rows_at: Dotted place of the rows in a JSON document; empty for the document itself.
        columns: Columns of a Parquet file to read, as far as it has them; None for all.
        exact: A row of a table with more or fewer cells than names, or with text after a closing
            quote, is a problem, and so are two columns of one name.
        suffix: The format to read, whatever the file is called; empty goes by its name.

    Raises:
        DataError: There is no such file, it may not be opened, or no format has its suffix.
        MissingExtraError: A Parquet file, and pyarrow is not installed.
    """
    shown = shown or str(path)
    name = suffix or path.name.lower()
    if name.endswith(".parquet"):
        yield from _parquet(path, shown, columns)
        return
    plain = name.removesuffix(".gz")
    if not plain.endswith(SUFFIXES):
        raise DataError(f"{shown}: the suffix must be one of {', '.join(SUFFIXES)}")
    with _open(path, shown) as raw:
        file = _unpacked(raw, name)
        if plain.endswith(".json"):
            rows = _json(path, file, raw, shown, rows_at)
        elif plain.endswith((".csv", ".tsv")):
            rows = _table(file, shown, "\t" if plain.endswith(".tsv") else ",", exact=exact)
        else:
            rows = _lines(file, raw, shown)
        last = 0
        try:
            for row in rows:
                last = row.number
                yield row
        except (OSError, EOFError, zlib.error, MemoryError) as error:  # also a broken gzip file
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


def json_document(path: Path, *, shown: str = "") -> Any:
    """Return the parsed content of a whole JSON file, gzipped or not.

    Bytes that are not UTF-8 become lone surrogates, so that only their row need be refused.

    Raises:
        DataError: It is not JSON, nested too deeply, or larger than `MAX_DOCUMENT_BYTES`, or the
            file cannot be read.
    """
    shown = shown or str(path)
    try:
        with _open(path, shown) as raw:
            text = _unpacked(raw, path.name.lower()).read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{shown}: cannot be read: {error}") from error
    if len(text) > MAX_DOCUMENT_BYTES:
        raise DataError(
            f"{shown}: more than {MAX_DOCUMENT_BYTES:,} bytes, the most for a JSON document;"
            " convert it to JSON lines"
        )
    try:
        return json.loads(text.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}: not valid JSON: {error}") from error


def _open(path: Path, shown: str) -> IO[bytes]:
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            raise DataError(f"{shown}: there is no such file")
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror or error}") from error


def _unpacked(raw: IO[bytes], name: str) -> IO[bytes]:
    packed = name.endswith(".gz") or raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    raw.seek(0)
    return cast("IO[bytes]", gzip.open(raw)) if packed else raw


def _lines(file: IO[bytes], raw: IO[bytes], shown: str) -> Iterator[StoredRow]:
    """Yield the rows of JSON lines; the position in the stored file `raw` gives the share read."""
    number, size = 0, max(1, os.fstat(raw.fileno()).st_size)
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        where, share = f"{shown}:{number}", raw.tell() / size
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
            yield StoredRow(where, None, _too_long(), number, share)
        elif line.strip():
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                yield StoredRow(where, None, f"not valid JSON: {error}", number, share)
            else:
                yield _object(where, row, number, share)


def _too_long() -> str:
    return f"the line is longer than {MAX_LINE_BYTES:,} bytes"


def _object(where: str, row: Any, number: int, share: float = 0.0) -> StoredRow:
    if isinstance(row, dict):
        return StoredRow(where, row, number=number, share=share)
    return StoredRow(where, None, f"expected a JSON object, got {_kind(row)}", number, share)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _table(file: IO[bytes], shown: str, delimiter: str, *, exact: bool) -> Iterator[StoredRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    start = file.read(2)
    file.seek(0)
    # Excel's "Unicode text" is UTF-16.
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    text = io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="")
    names: list[str] | None = None
    for record in read_records(_text_lines(text), delimiter, exact=exact):
        where, number, cells = f"{shown}:{record.number}", record.number, record.cells
        if cells is None:
            yield StoredRow(where, None, record.problem, number)
            if names is None:
                return
        elif names is None:
            names = [name.strip() for name in cells] if exact else list(cells)
            twice = next((name for name in names if name and names.count(name) > 1), "")
            if exact and twice:
                yield StoredRow(where, None, f"two columns are called {twice!r}", number)
                return
        elif not _is_unicode(cells):
            yield StoredRow(where, None, "not valid UTF-8", number)
        elif exact and len(cells) != len(names):
            problem = f"{len(cells)} cells under {len(names)} column names"
            yield StoredRow(where, None, problem, number)
        else:
            missing = [None] * (len(names) - len(cells))
            yield StoredRow(
                where, dict(zip(names, [*cells, *missing], strict=False)), number=number
            )


def _text_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise csv.Error(_too_long())
        yield line


def _is_unicode(cells: Sequence[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(path: Path, shown: str, columns: Sequence[str] | None) -> Iterator[StoredRow]:
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"{shown}: reading Parquet needs pyarrow: pip install 'vasari[jobs]'"
        ) from error
    _open(path, shown).close()
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            counted = sum(
                file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)
            )
            if counted != total:
                raise ValueError(f"its footer counts {total} rows, its row groups {counted}")
            present = file.schema_arrow.names
            asked = None if columns is None else [name for name in present if name in columns]
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH, columns=asked):
                for row in batch.to_pylist():
                    number += 1
                    yield StoredRow(
                        f"{shown}: row {number}", row, number=number, share=number / max(1, total)
                    )
    # pyarrow raises any of these on damaged files, and on dates that Python cannot hold.
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        yield StoredRow(
            f"{shown}: after row {number}",
            problem=f"cannot be read as Parquet: {error}",
            number=number,
        )


def _json(
    path: Path, file: IO[bytes], raw: IO[bytes], shown: str, rows_at: str
) -> Iterator[StoredRow]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")
    start = text.read(_CHUNK).lstrip()
    if start.startswith("[") and not rows_at:
        yield from _json_list(text, start[1:], shown)
        return
    try:
        document = json_document(path, shown=shown)
    except DataError as error:
        # Some publish JSON lines under the name .json.
        if start.startswith("{") and not rows_at and _one_line_is_an_object(start):
            file.seek(0)
            yield from _lines(file, raw, shown)
        else:
            yield StoredRow(shown, problem=str(error).removeprefix(f"{shown}: "), number=1)
        return
    yield from _document_rows(document, shown, rows_at)


def _one_line_is_an_object(start: str) -> bool:
    try:
        return isinstance(json.loads(start.splitlines()[0]), dict)
    except (ValueError, RecursionError):
        return False


def _document_rows(document: Any, shown: str, rows_at: str) -> Iterator[StoredRow]:
    for part in filter(None, rows_at.split(".")):
        if not isinstance(document, dict) or part not in document:
            names = ", ".join(list(document)[:8]) if isinstance(document, dict) else ""
            found = f"the keys {names}" if names else _kind(document)
            yield StoredRow(shown, problem=f"expected rows at {rows_at!r}, found {found}")
            return
        document = document[part]
    if isinstance(document, list):
        for number, row in enumerate(document, start=1):
            yield _object(f"{shown}: row {number}", row, number)
    elif not isinstance(document, dict):
        found = _kind(document)
        yield StoredRow(shown, problem=f"expected a list or a mapping of rows, found {found}")
    elif document and all(isinstance(value, dict | list) for value in document.values()):
        for number, (key, row) in enumerate(document.items(), start=1):
            values = {"_key": key, "_value": row} | (row if isinstance(row, dict) else {})
            yield StoredRow(f"{shown}: {key[:80]!r}", values, number=number)
    else:
        yield StoredRow(shown, document, number=1)


def _json_list(file: io.TextIOWrapper, buffer: str, shown: str) -> Iterator[StoredRow]:
    """Yield the entries of a JSON list one by one: a list of millions need not fit in memory."""
    decoder, place, number, ended = json.JSONDecoder(), 0, 0, False
    while True:
        place = _skip(buffer, place)
        entry: Any = None
        problem = "the list does not end"
        if place < len(buffer):
            if buffer[place] == "]":
                rest = buffer[place + 1 :] + file.read(_CHUNK)
                if rest.strip():
                    problem = f"text after the end of the list: {rest.strip()[:40]!r}"
                    yield StoredRow(
                        f"{shown}: after row {number}", problem=problem, number=number + 1
                    )
                return
            try:
                entry, after = decoder.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:  # ValueError: an endless number
                problem = f"not valid JSON: {error}"
                cut = isinstance(error, json.JSONDecodeError) and not _wrong_not_cut(error, buffer)
                ended = ended or not cut
            else:
                # A number or a word at the end of what was read may go on; brackets and quotes
                # cannot.
                if after < len(buffer) or ended:
                    place, number = after, number + 1
                    yield _object(f"{shown}: row {number}", entry, number)
                    continue
        if ended or len(buffer) - place > MAX_LINE_BYTES:
            yield StoredRow(f"{shown}: after row {number}", problem=problem, number=number)
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
