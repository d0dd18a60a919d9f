"""Open data files of strangers: regular ones alone, gzip unpacked, and their encoding told."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import IO, cast

from vasari.core.errors import DataError

MAX_LINE_BYTES = 256 * 2**20
"""Longest line, unpacked: a small gzip file can unpack to anything."""

_GZIP_MAGIC = b"\x1f\x8b"
_NOT_READ = (
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd; unpack it first"),
    (b"\xfd7zXZ\x00", "it is packed with xz; unpack it first"),
    (b"BZh", "it is packed with bzip2; unpack it first"),
    (b"\x04\x22\x4d\x18", "it is packed with lz4; unpack it first"),
    (b"PK\x03\x04", "it is a zip archive; unpack it first"),
    (b"PAR1", "it is Parquet; let its name end in .parquet"),
    (b"version https://git-lfs", "it stands for a file in Git LFS; fetch that with `git lfs pull`"),
)
_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    # Excel's "Unicode text" is UTF-16.
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def open_data(path: Path, shown: str) -> IO[bytes]:
    """Open a regular file for reading.

    Raises:
        DataError: There is no such file, or it may not be opened.
    """
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            raise DataError(f"{shown}: there is no such file")
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror or error}") from error


def unpacked(raw: IO[bytes], name: str, shown: str) -> IO[bytes]:
    """Return an open file's content, unpacked if it is gzip by its name or its first bytes.

    Raises:
        DataError: It is of a kind that is not read here, such as zstd.
    """
    start = raw.read(32)
    raw.seek(0)
    for magic, problem in _NOT_READ:
        if start.startswith(magic):
            raise DataError(f"{shown}: {problem}")
    packed = name.endswith(".gz") or start.startswith(_GZIP_MAGIC)
    return cast("IO[bytes]", gzip.open(raw)) if packed else raw


def text_encoding(file: IO[bytes]) -> str:
    """Return the encoding that a text file's first bytes tell, and go back to its start."""
    start = file.read(4)
    file.seek(0)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    # The texts that are read begin with ASCII: a brace, a bracket, a column's name.
    if start[:1] == b"\0":
        return "utf-16-be"
    return "utf-16-le" if start[1:2] == b"\0" else "utf-8-sig"


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


MARK_BAD_BYTES = "vasari_mark_bad_bytes"
"""How bad bytes are decoded: to lone surrogates, so that their row can be told and others kept.

As Python's "surrogateescape", which leaves most bad bytes of UTF-16 alone."""

codecs.register_error(MARK_BAD_BYTES, _as_surrogates)


def is_sound(text: str) -> bool:
    """Whether a text was decoded without bad bytes, by `MARK_BAD_BYTES`."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def too_long() -> str:
    """Return the problem of a line beyond `MAX_LINE_BYTES`."""
    return f"the line is longer than {MAX_LINE_BYTES:,} bytes"
