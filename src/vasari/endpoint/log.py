"""Files of JSON lines that one process writes and others read at the same time.

A line is appended in one go and ends in a newline, so that a reader takes whole lines only; what a
killed writer left unfinished is cut off by the next one that writes the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import orjson

from vasari.core.errors import StateError, StorageError

SCHEMA = 1

Sync = Literal["always", "interval", "never"]
"""When the disk must have a line: before its answer is returned, within about a second, or whenever
the system writes it."""

SYNC_SECONDS = 1.0

_HEADER = orjson.dumps({"schema": SCHEMA, "kind": "vasari responses"}) + b"\n"


class LogFile:
    """A file of lines, read on from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = _opened(path, os.O_RDONLY)
        self._read_to = 0

    def new_lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the content of each whole line that was not yielded before.

        Raises:
            StateError: The file is no store of responses.
        """
        if os.fstat(self.file).st_size <= self._read_to:
            return
        with os.fdopen(os.dup(self.file), "rb") as lines:
            if self._read_to == 0:
                header = lines.readline()
                if not header.endswith(b"\n"):
                    return  # another process is writing it
                _check_header(header, self.path)
                self._read_to = len(header)
            lines.seek(self._read_to)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                offset = self._read_to
                self._read_to += len(line)
                yield offset, line

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of a line."""
        return os.pread(self.file, length, offset)

    def close(self) -> None:
        """Close the file; a lock on it ends."""
        os.close(self.file)


class WrittenLog(LogFile):
    """The one file that this process writes.

    Raises:
        BlockingIOError: Another process writes it.
        StorageError: The disk refuses.
    """

    def __init__(self, path: Path, sync: Sync) -> None:
        self.path = path
        self.file = _opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._read_to = 0
        self.torn_bytes = 0
        """Bytes of an unfinished last line that were cut off."""
        try:
            _lock(self.file, path)
            self._cut_unfinished_line()
            if self._size == 0:
                self._write(_HEADER)
            self._syncer = _Syncer(self.file, sync)
        except BaseException:
            os.close(self.file)
            raise

    def append(self, line: bytes) -> int:
        """Append a line and return its offset.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        offset = self._size
        self._write(line)
        self._read_to = self._size  # its writer knows it
        self._syncer.written()
        return offset

    def close(self) -> None:
        """Have the disk take what was written, as `sync` says, and close the file."""
        try:
            self._syncer.close()
        finally:
            super().close()

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self.file, line)
            while written < len(line):
                written += os.write(self.file, line[written:])
            self._size += len(line)
        except OSError as error:
            os.ftruncate(self.file, self._size)
            why = error.strerror or error
            raise StorageError(f"{self.path}: an answer could not be saved: {why}") from error

    def _cut_unfinished_line(self) -> None:
        size, keep = os.fstat(self.file).st_size, 0
        if size:
            with mmap.mmap(self.file, 0, access=mmap.ACCESS_READ) as content:
                keep = content.rfind(b"\n") + 1
        if keep < size:
            os.ftruncate(self.file, keep)
            self.torn_bytes = size - keep
        self._size = keep


class _Syncer:
    """Syncs the log to disk as `sync` says; by a thread for "interval", so that no answer waits."""

    def __init__(self, file: int, sync: Sync) -> None:
        self._file = file
        self._sync = sync
        self._dirty = False
        self._ended = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="response-store-sync", daemon=True)
        if sync == "interval":
            self._thread.start()

    def written(self) -> None:
        self._dirty = True
        if self._sync == "always" or self._error is not None:
            self.now()

    def now(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise StorageError(
                f"the response store could not be synced: {error.strerror or error}"
            ) from error
        if self._error is not None:
            # The kernel reports a lost write once; a later sync that succeeds says nothing of it.
            raise StorageError(
                f"the response store could not be synced: {self._error.strerror}"
            ) from self._error

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._sync != "never":
            self.now()

    def _run(self) -> None:
        while not self._ended.wait(SYNC_SECONDS):
            if self._dirty:
                self._dirty = False
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self._error = error
                    return


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, 0o644)
    except OSError as error:
        why = error.strerror or error
        raise StorageError(f"{path}: cannot be opened: {why}") from error


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise StorageError(f"{path}: cannot be locked: {why}; choose a local disk") from error


def _check_header(line: bytes, path: Path) -> None:
    header = None
    with contextlib.suppress(ValueError):
        header = orjson.loads(line)
    if not isinstance(header, dict) or header.get("kind") != "vasari responses":
        raise StateError(f"{path}: its first line is not the header of a response store")
    if header.get("schema") != SCHEMA:
        raise StateError(f"{path}: schema {header.get('schema')!r}, expected {SCHEMA}")
