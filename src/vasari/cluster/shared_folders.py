"""Checking that a worker process sees the same folders as the driver.

A run on a disk of its own would end in files that nobody finds.

A mount that is missing on one machine often leaves an empty folder behind, so a folder that is
there proves nothing. Data folders are known by a few of their entries, the run's folder by a file
that the driver has just put into it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import vasari
from vasari.core.errors import StateError, StorageError

_NUM_MARKS = 16
"""Entries of a data folder that are compared, spread evenly over its names."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder, with names and sizes of entries by which a worker knows the same folder."""

    path: Path
    entries: tuple[tuple[str, int | None], ...]
    """Names of some entries, with the size of those that are files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFolders:
    """Files and Vasari version that a worker process must find before it starts work."""

    token: Path
    """A file of the driver in the run's folder, which workers must be able to write to. By the
    process's number in its name the next run knows what killed ones have left."""
    data: tuple[DataFolder, ...]
    version: str = vasari.__version__


@contextlib.contextmanager
def share_folders(root: Path, data: Sequence[Path]) -> Iterator[SharedFolders]:
    """Context manager that yields what workers must find in the run's folder and data folders.

    Data folders that do not exist here are left out.

    Raises:
        StorageError: The run's folder cannot be written to.
    """
    token = root / f".workers-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        token.write_text(token.name)
    except OSError as error:
        raise StorageError(
            f"{root}: the folder cannot be used: {error.strerror or error}"
        ) from error
    try:
        yield SharedFolders(
            token=token,
            data=tuple(_landmarks(folder) for folder in dict.fromkeys(data) if folder.is_dir()),
        )
    finally:
        with contextlib.suppress(OSError):
            token.unlink()


def check_folders(folders: SharedFolders) -> None:
    """Check that this process sees the driver's folders and has its Vasari version; else raise.

    Raises:
        StateError: The version of vasari is another, or a folder is missing, is another one, or
            cannot be written to.
    """
    if vasari.__version__ != folders.version:
        raise StateError(
            f"vasari is {vasari.__version__} there and {folders.version} here: install the same"
            " version on every machine"
        )
    root = folders.token.parent
    try:
        seen = folders.token.read_text()
    except OSError:
        seen = ""
    if seen != folders.token.name:
        raise StateError(
            f"the run's folder {root} is not visible there: --out must be on a disk that all"
            " machines share"
        )
    reply = folders.token.with_name(f"{folders.token.name}-{secrets.token_hex(8)}")
    try:
        reply.touch()
        reply.unlink()
    except OSError as error:
        raise StateError(
            f"the run's folder {root} cannot be written to there: {error.strerror or error}"
        ) from error
    for folder in folders.data:
        lacking = next(
            (name for name, size in folder.entries if not _same(folder.path / name, size)), None
        )
        if lacking is not None or not folder.path.is_dir():
            what = f" ({lacking} is missing or another)" if lacking is not None else ""
            raise StateError(
                f"the data folder {folder.path} is not visible there as it is here{what}: "
                "sources and benchmarks must lie at the same path on all machines"
            )


def _landmarks(folder: Path) -> DataFolder:
    names = sorted(os.listdir(folder))  # noqa: PTH208  (names alone, of perhaps millions)
    step = max(1, -(-len(names) // _NUM_MARKS))
    return DataFolder(folder, tuple((name, _size(folder / name)) for name in names[::step]))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _same(path: Path, size: int | None) -> bool:
    try:
        return os.path.lexists(path) and _size(path) == size
    except OSError:
        return False
