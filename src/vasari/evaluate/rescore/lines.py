"""The lines of a file from a stranger, plain or gzip, one at a time: bounded in length, damaged
ends reported.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from vasari.core.errors import DataError

MAX_LINE_BYTES = 64 * 1024**2
"""A longer line is a bad row."""

_GZIP = b"\x1f\x8b"
_CHUNK = 1024**2


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or why it cannot be read."""

    number: int
    """From 1."""
    text: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What tells one version of a file from another."""

    digest: str
    """Of its bytes as stored."""
    num_lines: int


def read_lines(path: Path, *, blank: bool = False) -> Iterator[Line]:
    """Every line, blank ones only on request; an undecodable or too long one has an `error`, and so
    has a gzip file's break.

    Raises:
        DataError: The file is not there or may not be read.
    """
    number = 0
    try:
        with _open(path) as file:
            while True:
                number += 1
                raw = file.readline(MAX_LINE_BYTES + 1)
                if not raw:
                    return
                if len(raw) > MAX_LINE_BYTES:
                    _skip_line(file)
                    yield Line(number, error=f"longer than {MAX_LINE_BYTES} bytes")
                    continue
                line = _decoded(number, raw)
                if blank or line.error or line.text.strip():
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Line(number, error=f"the compressed file is damaged from here on: {error}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def file_facts(path: Path) -> FileFacts:
    """The digest of a file, and how many lines it has uncompressed (a damaged rest not counted).

    Raises:
        DataError: The file is not there or may not be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    num_lines = 0
    try:
        with path.open("rb") as raw:
            while chunk := raw.read(_CHUNK):
                digest.update(chunk)
        with _open(path) as file:
            while chunk := file.read(_CHUNK):
                num_lines += chunk.count(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # Reading the lines reports it, with its place.
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return FileFacts(digest.hexdigest(), num_lines)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path, "rb")) if compressed else path.open("rb")


def _skip_line(file: IO[bytes]) -> None:
    while (chunk := file.readline(_CHUNK)) and not chunk.endswith(b"\n"):
        continue


def _decoded(number: int, raw: bytes) -> Line:
    try:
        return Line(number, raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return Line(number, error=f"not UTF-8: {error.reason}")
