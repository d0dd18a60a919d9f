"""Writing of files and folders either whole or not at all, and reading and writing of JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vasari.core.errors import StorageError
from vasari.core.secrets import blot_bytes

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


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
    a hidden folder beside it is whole; the next call brings the latter back.

    Raises:
        StorageError: The disk refused.
    """
    # Names that nobody gives a folder of their own beside the one that is written.
    staging, old = (path.with_name(f".{path.name}.vasari-{part}") for part in ("writing", "old"))
    if old.exists() and not path.exists():  # a crash between the two renames below
        old.rename(path)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with filling_folder(staging, shown=path):
            yield staging
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                path.rename(old)
            staging.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def filling_folder(folder: Path, *, shown: Path) -> Iterator[None]:
    """Context manager that names the folder where a library's error says that the disk refused.

    Args:
        folder: That is written into.
        shown: Its name for the user.

    Raises:
        StorageError: The disk refused.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # safetensors has an exception of its own
        if not (is_disk_error(error) or _is_about(error, folder)):
            raise
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise StorageError(
            f"{shown}: could not be written: {reason}; free some space there, or write elsewhere"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step: after a crash it holds the whole old or the whole new content.

    A server's key in it becomes "[key]".
    """
    with writing(path) as file:
        file.write(blot_bytes(content))


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON to a file in one step: after a crash it holds the old or the new content."""
    text = json.dumps(content, indent=1, allow_nan=False, default=_plain)
    write_bytes(path, f"{text}\n".encode())


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, in one step: a crash leaves the whole old or new content."""
    with writing(path) as file:
        file.writelines(blot_bytes(f"{json.dumps(row)}\n".encode()) for row in rows)


def read_json(path: Path) -> Any:
    """Return the parsed content of a JSON file."""
    return json.loads(path.read_text())


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
            file.write(blot_bytes("".join(lines).encode()))


def is_disk_error(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that the disk is full or takes nothing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            return True
        # torch and safetensors report a short write in words of their own.
        if re.search(
            r"No space left|os error 28|File too large|os error"
            r" 27|PytorchStreamWriter|unexpected pos",
            str(error),
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_about(error: Exception, folder: Path) -> bool:
    """Whether an error of the system names a file in a folder, or the folder."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str):
        return False
    return Path(error.filename).is_relative_to(folder)


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
