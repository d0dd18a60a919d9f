"""Every answer that was paid for, kept: an append-only log of JSON lines and an index in memory.

A line reaches the operating system before its answer is handed on, so a killed process loses only
what was in flight; `sync` decides how soon the disk itself has it, which matters when the machine
goes down.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.endpoint.libraries import orjson
from vasari.endpoint.response import Failure, Response
from vasari.endpoint.rows import failure_line, failure_of, response_line, response_of
from vasari.endpoint.usage import Usage, UsageCount

SCHEMA = 1

Sync = Literal["always", "interval", "never"]
"""When the disk must have a line: before its answer is handed on, within about a second, or when
the system likes."""

SYNC_SECONDS = 1.0

_LENGTH_BITS = 40
_OFFSET_BITS = 48


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """What opening the store found."""

    responses: int
    """Answers that can be used."""
    failures: int
    """Requests whose last word is a failure."""
    torn_bytes: int
    """Bytes of an unfinished last line that were cut off; its request is asked again."""
    damaged_lines: int
    """Lines in the middle that cannot be read; their requests are asked again."""


class ResponseStore:
    """Answers and failures by request key and number of the answer, in a folder that one process
    writes at a time.

    Several processes share a folder by writing a `shard` each; all of them read all shards as they
    were on opening.

    Raises:
        StateError: Another process writes this shard, or the folder holds something else.
        StorageError: The disk refuses.
    """

    def __init__(self, folder: Path | str, *, shard: str = "main", sync: Sync = "interval") -> None:
        if not shard.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"a shard's name is of letters, digits, '-' and '_', got {shard!r}")
        if sync not in ("always", "interval", "never"):
            raise ConfigError(f"sync must be 'always', 'interval' or 'never', got {sync!r}")
        self.folder = Path(folder)
        self._path = self.folder / f"responses-{shard}.jsonl"
        self._responses: dict[bytes, int] = {}
        self._failures: dict[bytes, int] = {}
        self._usage = UsageCount()
        self._files: list[int] = []
        self._torn = self._damaged = 0
        self._closed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise StorageError(
                f"{self._path}: cannot be opened: {error.strerror or error}"
            ) from error
        try:
            self._open()
        except BaseException:
            self._close_files()
            raise
        self._syncer = _Syncer(self._file, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._responses)

    @property
    def health(self) -> StoreHealth:
        """What opening found, with the counts of now."""
        return StoreHealth(len(self._responses), len(self._failures), self._torn, self._damaged)

    @property
    def usage(self) -> dict[str, Usage]:
        """What all that is in the store has used, by model as it was asked for."""
        return self._usage.by_model()

    def get(self, key: str, index: int = 0) -> Response | None:
        """The latest answer number `index` to the request with this key."""
        place = self._responses.get(_slot(key, index))
        return None if place is None else response_of(self._read(place))

    def get_failure(self, key: str, index: int = 0) -> Failure | None:
        """The failure that is the last word on this request."""
        place = self._failures.get(_slot(key, index))
        return None if place is None else failure_of(self._read(place))

    def add(
        self,
        key: str,
        response: Response,
        *,
        model: str,
        request_id: str = "",
        usage: Usage | None = None,
    ) -> None:
        """Append an answer.

        Args:
            key: The request's key.
            response: The answer.
            model: The model as it was asked for.
            request_id: The caller's name for the row.
            usage: What was used in all, lost attempts included; by default the answer's own tokens.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        usage = usage if usage is not None else Usage.of(response)
        slot = _slot(key, response.index)
        self._responses[slot] = self._append(response_line(key, response, model, request_id, usage))
        self._failures.pop(slot, None)
        self._usage.add(model, usage)

    def add_failure(
        self, key: str, failure: Failure, *, model: str, usage: Usage | None = None
    ) -> None:
        """Append a failure; an answer to the same request (a truncated one) stays beside it.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        usage = usage if usage is not None else Usage()
        self._failures[_slot(key, failure.index)] = self._append(
            failure_line(key, failure, model, usage)
        )
        self._usage.add(model, usage)

    def add_lost(self, model: str, usage: Usage) -> None:
        """Append what a request used that got neither answer nor failure: the run stopped between
        two attempts.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        self._append(
            orjson.dumps(
                {"model": model, "usage": usage.to_row()}, option=orjson.OPT_APPEND_NEWLINE
            )
        )
        self._usage.add(model, usage)

    def failures(self) -> Iterator[Failure]:
        """The requests whose last word is a failure: the dead-letter table."""
        for place in list(self._failures.values()):
            yield failure_of(self._read(place))

    def flush(self) -> None:
        """Return when the disk has everything."""
        self._syncer.now()

    def close(self) -> None:
        """Sync and release the folder; may be called twice."""
        if not self._closed:
            self._closed = True
            try:
                self._syncer.close()
            finally:
                self._close_files()

    def _open(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"{self._path} is being written by another process; give this one a shard of"
                " its own"
            ) from error
        self._cut_torn_line()
        if self._size == 0:
            self._write(orjson.dumps({"schema": SCHEMA, "kind": "vasari responses"}) + b"\n")
        # The own shard comes last, so that its lines are the last word.
        others = [
            path for path in sorted(self.folder.glob("responses-*.jsonl")) if path != self._path
        ]
        for path in [*others, self._path]:
            file = self._file if path == self._path else os.open(path, os.O_RDONLY)
            self._files.append(file)
            self._scan(len(self._files) - 1, path)

    def _cut_torn_line(self) -> None:
        """Cut off an unfinished last line: its process was killed within a write."""
        size = keep = os.fstat(self._file).st_size
        while keep > 0:
            start = max(0, keep - 65536)
            newline = os.pread(self._file, keep - start, start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            keep = start
        if keep < size:
            os.ftruncate(self._file, keep)
            self._torn = size - keep
        self._size = keep

    def _scan(self, number: int, path: Path) -> None:
        """Index a shard; lines that cannot be read are counted and skipped."""
        offset = 0
        with path.open("rb") as lines:
            for count, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break  # another process is writing this line
                place = number << (_OFFSET_BITS + _LENGTH_BITS) | offset << _LENGTH_BITS | len(line)
                offset += len(line)
                try:
                    row = orjson.loads(line)
                    if count == 0:
                        _check_header(row, path)
                    else:
                        self._index(row, place)
                except (
                    ValueError,
                    KeyError,
                    TypeError,
                    AttributeError,
                ):  # torn by a crash of the machine
                    if count == 0:
                        raise StateError(
                            f"{path}: its first line is not the header of a response store"
                        ) from None
                    self._damaged += 1

    def _index(self, row: dict[str, Any], place: int) -> None:
        usage = Usage.from_row(row["usage"])
        if "key" in row:
            slot = _slot(row["key"], row["index"])
            if "failure" in row:
                self._failures[slot] = place
            else:
                self._responses[slot] = place
                self._failures.pop(slot, None)
        self._usage.add(row["model"], usage)

    def _append(self, line: bytes) -> int:
        """Where the line lies now."""
        if self._closed:
            raise StateError(f"{self._path} is closed")
        offset = self._size
        self._write(line)
        self._syncer.written()
        return (
            (len(self._files) - 1) << (_OFFSET_BITS + _LENGTH_BITS)
            | offset << _LENGTH_BITS
            | len(line)
        )

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            self._size += len(line)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise StorageError(
                f"{self._path}: an answer could not be saved: {error.strerror or error}"
            ) from error

    def _read(self, place: int) -> dict[str, Any]:
        number = place >> (_OFFSET_BITS + _LENGTH_BITS)
        offset = place >> _LENGTH_BITS & ((1 << _OFFSET_BITS) - 1)
        row: dict[str, Any] = orjson.loads(
            os.pread(self._files[number], place & ((1 << _LENGTH_BITS) - 1), offset)
        )
        return row

    def _close_files(self) -> None:
        for file in {self._file, *self._files}:
            os.close(file)


class _Syncer:
    """Keeps the promise of `sync`; an interval is kept by a thread, so that no answer waits for the
    disk.
    """

    def __init__(self, file: int, sync: Sync) -> None:
        self._file = file
        self._sync = sync
        self._dirty, self._ended = threading.Event(), threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="response-store-sync", daemon=True)
        if sync == "interval":
            self._thread.start()

    def written(self) -> None:
        if self._sync == "always" or self._error is not None:
            self.now()
        elif self._sync == "interval" and not self._dirty.is_set():
            self._dirty.set()

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
        self._dirty.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._sync != "never":
            self.now()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                os.fsync(self._file)
            except OSError as error:
                self._error = error
                return
            self._ended.wait(SYNC_SECONDS)


def write_dead_letters(store: ResponseStore, path: Path) -> int:
    """Write the failures as JSON lines, one a request; returns how many there are."""
    count = 0
    with path.open("w") as file:
        for failure in store.failures():
            row = {
                "id": failure.request_id,
                "index": failure.index,
                "reason": failure.reason,
                "detail": failure.detail,
            }
            file.write(
                json.dumps(row | {"status": failure.status, "attempts": failure.attempts}) + "\n"
            )
            count += 1
    return count


def _slot(key: str, index: int) -> bytes:
    return bytes.fromhex(key) + index.to_bytes(4, "big")


def _check_header(row: Any, path: Path) -> None:
    if not isinstance(row, dict) or row.get("kind") != "vasari responses":
        raise StateError(f"{path}: its first line is not the header of a response store")
    if row.get("schema") != SCHEMA:
        raise StateError(f"{path}: schema {row.get('schema')!r}, expected {SCHEMA}")
