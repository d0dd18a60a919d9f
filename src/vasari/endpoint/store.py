"""Store of model answers: an append-only log of JSON lines, with an index of them in memory.

It is not written whole like other files, which would cost more with each answer: lines are
appended, and an unfinished last line is cut off on opening. A line reaches the operating system
before its answer is returned, so a killed process loses only what was in flight; `sync` decides how
soon the disk itself has it, which matters when the machine goes down.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.core.files import write_bytes
from vasari.endpoint.cost import Usage
from vasari.endpoint.request import Request
from vasari.endpoint.response import Failure, Response, is_raised

SCHEMA = 1

Sync = Literal["always", "interval", "never"]
"""When the disk must have a line: before its answer is returned, within about a second, or whenever
the system writes it."""

SYNC_SECONDS = 1.0

_LENGTH_BITS = 40
_OFFSET_BITS = 48


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Numbers of answers and failures in a store, and the damage found when it was opened."""

    responses: int
    """Answers that can be used."""
    failures: int
    """Requests whose last outcome is a failure."""
    torn_bytes: int
    """Bytes of an unfinished last line that were cut off; its request is asked again."""
    damaged_lines: int
    """Lines in the middle that cannot be read; their requests are asked again."""


class ResponseStore:
    """Store of model answers and failures in a folder, by request hash and answer number.

    One process writes a shard at a time. Several processes share a folder by writing a `shard`
    each; all of them read all shards as they were on opening.

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
        self._usage: defaultdict[str, Usage] = defaultdict(Usage)
        self._files: list[int] = []
        self._torn = self._damaged = 0
        self._closed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            why = error.strerror or error
            raise StorageError(f"{self._path}: cannot be opened: {why}") from error
        try:
            self._open()
        except BaseException:
            self._close_files()
            raise
        self._syncer = _Syncer(self._file, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._responses)

    @property
    def health(self) -> StoreHealth:
        """Numbers of answers and failures now stored, and the damage found on opening the store."""
        return StoreHealth(len(self._responses), len(self._failures), self._torn, self._damaged)

    @property
    def usage(self) -> dict[str, Usage]:
        """Requests and tokens of all answers, failures and lost requests stored, by model."""
        return dict(self._usage)

    def get(self, key: str, index: int = 0) -> Response | None:
        """Return the latest `index`-th answer to the request with hash `key`; None without one."""
        place = self._responses.get(_slot(key, index))
        return None if place is None else Response.from_row(self._read(place))

    def get_failure(self, key: str, index: int = 0) -> Failure | None:
        """Return the failure of the latest try for answer `index` to request `key`, or None."""
        place = self._failures.get(_slot(key, index))
        return None if place is None else Failure.from_row(self._read(place))

    def look_up(
        self, request: Request, index: int, *, retry_failed: Collection[str] = ()
    ) -> Response | Failure | None:
        """Return a request's stored `index`-th answer or its failure; None if it must be sent.

        A truncated answer does not count once the limit has been raised. A failure counts, unless
        its reason is in `retry_failed`; one at a raised limit leaves the truncated answer in the
        store for runs with the old limit.
        """
        response = self.get(request.key, index)
        limit = request.sampling.max_tokens
        if response is not None and not (response.truncated and is_raised(limit, response.limit)):
            return response
        failure = self.get_failure(request.key, index)
        if failure is None or failure.reason in retry_failed:
            return None
        if response is not None and is_raised(limit, failure.limit):
            return None
        return replace(failure, request_id=request.id)

    def look_up_all(
        self, requests: Iterable[Request], num_responses: int, *, retry_failed: Collection[str] = ()
    ) -> Iterator[tuple[Request, int, Response | Failure | None]]:
        """Yield (request, answer number, stored answer or failure or None), without repeats."""
        seen: set[tuple[str, int]] = set()
        for request in requests:
            for index in range(num_responses):
                if (request.key, index) not in seen:
                    seen.add((request.key, index))
                    yield request, index, self.look_up(request, index, retry_failed=retry_failed)

    def add(
        self,
        key: str,
        response: Response,
        *,
        model: str,
        request_id: str = "",
        usage: Usage | None = None,
    ) -> None:
        """Append an answer to the store, under the hash `key` of its request.

        Args:
            key: The request's key.
            response: The answer.
            model: The model as it was asked for.
            request_id: The caller's name for the row.
            usage: What was used in all, lost attempts included; by default the answer's own tokens.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        slot = _slot(key, response.index)
        self._responses[slot] = self._keep(
            key, response, model, request_id, usage if usage is not None else Usage.of(response)
        )
        self._failures.pop(slot, None)

    def add_failure(
        self, key: str, failure: Failure, *, model: str, usage: Usage | None = None
    ) -> None:
        """Append a failure to the store; a truncated answer to the same request stays stored.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        self._failures[_slot(key, failure.index)] = self._keep(
            key, failure, model, failure.request_id, usage if usage is not None else Usage()
        )

    def add_lost(self, model: str, usage: Usage) -> None:
        """Append the tokens used by a request that got no answer before the run stopped.

        Raises:
            StorageError: The disk refused; what was saved before is unharmed.
        """
        self._append(_json_line({"model": model, "usage": usage.to_row()}))
        self._usage[model] += usage

    def failures(self) -> Iterator[Failure]:
        """Yield the stored failures: one for each answer whose last attempt failed."""
        for place in list(self._failures.values()):
            yield Failure.from_row(self._read(place))

    def close(self) -> None:
        """Sync the log of answers to disk and release the folder; may be called twice."""
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
        self._cut_unfinished_line()
        if self._size == 0:
            self._write(_json_line({"schema": SCHEMA, "kind": "vasari responses"}))
        # The own shard comes last, so that its lines replace those of the others.
        others = [
            path for path in sorted(self.folder.glob("responses-*.jsonl")) if path != self._path
        ]
        for path in [*others, self._path]:
            file = self._file if path == self._path else os.open(path, os.O_RDONLY)
            self._files.append(file)
            self._scan(len(self._files) - 1, path)

    def _cut_unfinished_line(self) -> None:
        """Cut off an unfinished last line, left by a process that was killed while writing."""
        size, keep = os.fstat(self._file).st_size, 0
        if size:
            with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as content:
                keep = content.rfind(b"\n") + 1
        if keep < size:
            os.ftruncate(self._file, keep)
            self._torn = size - keep
        self._size = keep

    def _scan(self, number: int, path: Path) -> None:
        """Index a shard; lines that cannot be read are counted and skipped."""
        with path.open("rb") as lines:
            header = lines.readline()
            if not header.endswith(b"\n"):
                return  # another process is writing it
            _check_header(header, path)
            offset = len(header)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                place = _place(number, offset, len(line))
                offset += len(line)
                try:
                    self._index(orjson.loads(line), place)
                except (ValueError, KeyError, TypeError, AttributeError):  # a crash of the machine
                    self._damaged += 1

    def _index(self, row: dict[str, Any], place: int) -> None:
        usage = Usage.from_row(row["usage"])  # first, for a damaged row must not count in part
        if "key" in row:
            slot = _slot(row["key"], row["index"])
            if "failure" in row:
                self._failures[slot] = place
            else:
                self._responses[slot] = place
                self._failures.pop(slot, None)
        self._usage[row["model"]] += usage

    def _keep(
        self, key: str, outcome: Response | Failure, model: str, request_id: str, usage: Usage
    ) -> int:
        # JSON cannot hold lone surrogates.
        name = request_id.encode("utf-8", "replace").decode()
        row = {"key": key, "index": outcome.index, "id": name, "model": model, **outcome.to_row()}
        row |= {"usage": usage.to_row(), "time": round(time.time(), 3)}
        place = self._append(_json_line(row))
        self._usage[model] += usage
        return place

    def _append(self, line: bytes) -> int:
        """Write a line and return its place: file, offset and length in one integer."""
        if self._closed:
            raise StateError(f"{self._path} is closed")
        place = _place(len(self._files) - 1, self._size, len(line))
        self._write(line)
        self._syncer.written()
        return place

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            self._size += len(line)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            why = error.strerror or error
            raise StorageError(f"{self._path}: an answer could not be saved: {why}") from error

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


def write_dead_letters(store: ResponseStore, path: Path) -> int:
    """Write the failed requests in the store to a file of JSON lines; return their number.

    Raises:
        StorageError: The disk refused.
    """
    lines = [json.dumps(failure.summary()) + "\n" for failure in store.failures()]
    write_bytes(path, "".join(lines).encode())
    return len(lines)


def _json_line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _place(number: int, offset: int, length: int) -> int:
    return number << (_OFFSET_BITS + _LENGTH_BITS) | offset << _LENGTH_BITS | length


def _slot(key: str, index: int) -> bytes:
    return bytes.fromhex(key) + index.to_bytes(4, "big")


def _check_header(line: bytes, path: Path) -> None:
    header = None
    with contextlib.suppress(ValueError):
        header = orjson.loads(line)
    if not isinstance(header, dict) or header.get("kind") != "vasari responses":
        raise StateError(f"{path}: its first line is not the header of a response store")
    if header.get("schema") != SCHEMA:
        raise StateError(f"{path}: schema {header.get('schema')!r}, expected {SCHEMA}")
