"""Writing of files and folders either whole or not at all, and reading and writing of JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vasari.core.errors import StorageError


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Context manager that yields a new binary file, which replaces `path` on normal exit.

    After an error the new file is removed. Missing parent folders are created. File and folder are
    flushed to the disk, so that what was written survives a power cut. `path` always holds the
    whole old content or the whole new one.

    Raises:
        StorageError: The disk refused.
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with staging.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            staging.replace(path)
            _sync_folder(path.parent)
        finally:
            staging.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Context manager that yields the path for a new folder, which replaces `path` on normal exit.

    The caller makes the folder at that path; after an error it is removed. After a crash, `path` or
    `path.old` is whole; the next call brings the latter back.
    """
    staging, old = path.with_name(path.name + ".writing"), path.with_name(path.name + ".old")
    if old.exists() and not path.exists():  # a crash between the two renames below
        old.rename(path)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        staging.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step: after a crash it holds the whole old or the whole new content."""
    with writing(path) as file:
        file.write(content)


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON to a file in one step: after a crash it holds the old or the new content."""
    text = json.dumps(content, indent=1, allow_nan=False, default=_plain)
    write_bytes(path, f"{text}\n".encode())


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, in one step: a crash leaves the whole old or new content."""
    with writing(path) as file:
        file.writelines(f"{json.dumps(row)}\n".encode() for row in rows)


def read_json(path: Path) -> Any:
    """Return the parsed content of a JSON file."""
    return json.loads(path.read_text())


def free_bytes(path: Path) -> int:
    """Return the room left on the disk of a file or folder, which need not exist yet."""
    place = path.absolute()
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines, each already ending in a newline, to a file in one write.

    Raises:
        StorageError: The disk refused; whole lines that were there stay.
    """
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write("".join(lines).encode())


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: could not be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
