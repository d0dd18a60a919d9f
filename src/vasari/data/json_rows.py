"""Read the rows of JSON lines and of JSON documents; what can be told apart costs itself alone."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vasari.core.errors import DataError
from vasari.data import opened
from vasari.data.stored_row import StoredRow

MAX_DOCUMENT_BYTES = 2 * 2**30
"""Largest JSON document, unpacked, that is not a list at its top: it is read whole."""

_CHUNK = 2**20
_PIECE = 2**16
_STRAY = re.compile(r"\}+")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)


class _Repeated(dict[str, Any]):
    """A JSON object in which a key stands twice, or that holds such an object."""

    key: str = ""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; marked if a key stands twice, since one of the values is lost."""
    found = dict(pairs)
    key = ""
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        key = next(name for name in names if names.count(name) > 1) or "(empty)"
    for value in found.values():
        for inner in value if type(value) is list else (value,):
            if type(inner) is _Repeated:
                key = inner.key
    if key:
        found = _Repeated(found)
        found.key = key
    return found


# Not strict: a line end or a tab within a string can be read without doubt.
_DECODER = json.JSONDecoder(object_pairs_hook=_object_of, strict=False)


def json_lines(file: IO[bytes], raw: IO[bytes], shown: str) -> Iterator[StoredRow]:
    """Yield the rows of JSON lines; the position in the stored file `raw` gives the share read."""
    number, size = 0, max(1, os.fstat(raw.fileno()).st_size)
    encoding = opened.text_encoding(file)
    lines: IO[Any] = file
    if encoding != "utf-8-sig":
        lines = io.TextIOWrapper(
            file, encoding=encoding, errors=opened.MARK_BAD_BYTES, newline="\n"
        )
    while line := lines.readline(opened.MAX_LINE_BYTES + 1):
        number += 1
        where, share = f"{shown}:{number}", raw.tell() / size
        if len(line) > opened.MAX_LINE_BYTES:
            while line and line[-1:] not in (b"\n", "\n"):
                line = lines.readline(_CHUNK)
            yield StoredRow(where, None, opened.too_long(), number, share)
        elif line.strip():
            try:
                row = _DECODER.decode(_text(line))
            except (ValueError, RecursionError) as error:
                yield StoredRow(where, None, f"not valid JSON: {error}", number, share)
            else:
                yield _object(where, row, number, share)


def _text(line: bytes | str) -> str:
    """Return a line as text; raise a `ValueError` if it was not written in its encoding."""
    if isinstance(line, bytes):
        return line.decode("utf-8-sig")
    if not opened.is_sound(line):
        raise ValueError("bytes that are not valid UTF-16 or UTF-32")
    return line.removeprefix("\ufeff")


def _object(where: str, row: Any, number: int, share: float = 0.0) -> StoredRow:
    if isinstance(row, _Repeated):
        problem = f"the key {row.key[:80]!r} stands twice in one object"
        return StoredRow(where, None, problem, number, share)
    if isinstance(row, dict):
        return StoredRow(where, row, number=number, share=share)
    return StoredRow(where, None, f"expected a JSON object, got {_kind(row)}", number, share)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def json_document(path: Path, *, shown: str = "") -> Any:
    """Return the parsed content of a whole JSON file, gzipped or not.

    Bytes that are not UTF-8 become lone surrogates, so that only their row need be refused.

    Raises:
        DataError: It is not JSON, nested too deeply, or larger than `MAX_DOCUMENT_BYTES`, or the
            file cannot be read.
    """
    shown = shown or str(path)
    try:
        with opened.open_data(path, shown) as raw:
            file = opened.unpacked(raw, path.name.lower(), shown)
            encoding = opened.text_encoding(file)
            text = file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{shown}: cannot be read: {error}") from error
    if len(text) > MAX_DOCUMENT_BYTES:
        raise DataError(
            f"{shown}: more than {MAX_DOCUMENT_BYTES:,} bytes, the most for a JSON document;"
            " convert it to JSON lines"
        )
    try:
        return _DECODER.decode(text.decode(encoding, opened.MARK_BAD_BYTES))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}: not valid JSON: {error}") from error


def json_rows(
    path: Path, file: IO[bytes], raw: IO[bytes], shown: str, rows_at: str
) -> Iterator[StoredRow]:
    """Yield the rows of a JSON document, or of JSON lines that are called `.json`."""
    text = _Text(file)
    start = text.read(_CHUNK).lstrip()
    if start.startswith("[") and not rows_at:
        yield from _list_rows(text, start[1:], shown)
        return
    try:
        document = json_document(path, shown=shown)
    except DataError as error:
        # Some publish JSON lines under the name .json.
        if start.startswith("{") and not rows_at and _one_line_is_an_object(start):
            file.seek(0)
            yield from json_lines(file, raw, shown)
        else:
            yield StoredRow(shown, problem=str(error).removeprefix(f"{shown}: "), number=1)
        return
    yield from _document_rows(document, shown, rows_at)


def _one_line_is_an_object(start: str) -> bool:
    try:
        return isinstance(_DECODER.decode(start.splitlines()[0]), dict)
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
        if isinstance(document, _Repeated) and document.key in document:
            yield _object(shown, document, 1)
        for number, (key, row) in enumerate(document.items(), start=1):
            if isinstance(row, _Repeated):
                yield _object(f"{shown}: {key[:80]!r}", row, number)
                continue
            values = {"_key": key, "_value": row} | (row if isinstance(row, dict) else {})
            yield StoredRow(f"{shown}: {key[:80]!r}", values, number=number)
    else:
        yield _object(shown, document, 1)


class _Text:
    """The text of a file, piece by piece, up to the place from which it cannot be read."""

    def __init__(self, file: IO[bytes]) -> None:
        encoding = opened.text_encoding(file)
        self._decoder = codecs.getincrementaldecoder(encoding)(opened.MARK_BAD_BYTES)
        self._file = file
        self.problem = ""

    def read(self, size: int) -> str:
        """Return at least `size` characters, or those that are left."""
        parts: list[str] = []
        while sum(map(len, parts)) < size and not self.problem:
            try:
                # Not `read`, which loses what it had when a packed file breaks off.
                data = self._file.read1(_PIECE)  # type: ignore[attr-defined]
            except (OSError, EOFError, zlib.error) as error:
                self.problem, data = f"cannot be read any further: {error}", b""
            parts.append(self._decoder.decode(data, final=not data))
            if not data:
                break
        return "".join(parts)


def _list_rows(file: _Text, buffer: str, shown: str) -> Iterator[StoredRow]:
    """Yield the entries of a JSON list one by one: a list of millions need not fit in memory."""
    place, number, ended = 0, 0, False
    while True:
        place = _skip(buffer, place)
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
                entry, after = _DECODER.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:  # ValueError: an endless number
                problem = f"not valid JSON: {error}"
                after = _end_of_entry(buffer, place)
                if after > 0:
                    place, number = after, number + 1
                    yield StoredRow(f"{shown}: row {number}", problem=problem, number=number)
                    continue
            else:
                # A number or a word at the end of what was read may go on; brackets and quotes
                # cannot.
                if after < len(buffer) or ended:
                    place, number = after, number + 1
                    yield _object(f"{shown}: row {number}", entry, number)
                    continue
        if ended or len(buffer) - place > opened.MAX_LINE_BYTES:
            problem = file.problem or problem
            yield StoredRow(f"{shown}: after row {number}", problem=problem, number=number)
            return
        more = file.read(max(_CHUNK, len(buffer) - place))
        ended = not more
        buffer, place = buffer[place:] + more, 0


def _skip(buffer: str, place: int) -> int:
    while place < len(buffer) and buffer[place] in " \t\r\n,":
        place += 1
    return place


def _end_of_entry(buffer: str, place: int) -> int:
    """Return where a malformed entry of a list ends, by its quotes and brackets; 0 if not known."""
    depth = 0
    for token in _TOKEN.finditer(buffer, place):
        kind = token.group()
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(kind, 0)
        if kind == '"':
            return 0  # a string that does not end
        if depth < 0 or (depth == 0 and kind == ","):
            # Brackets that opened nowhere are an entry of their own, or reading would stand still.
            stray = _STRAY.match(buffer, place)
            return stray.end() if stray else token.start()
        if depth == 0 and kind in "]}":
            after = _after_space(buffer, token.end())
            return token.end() if buffer[after : after + 1] in (",", "]") else 0
    return 0


def _after_space(buffer: str, place: int) -> int:
    while place < len(buffer) and buffer[place] in " \t\r\n":
        place += 1
    return place
