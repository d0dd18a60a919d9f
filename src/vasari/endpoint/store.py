"""Store of model answers: an append-only log of JSON lines, with an index of them in memory.

It is not written whole like other files, which would cost more with each answer. A line reaches the
operating system before its answer is returned, so a killed process loses only what was in flight;
`sync` decides how soon the disk itself has it, which matters when the machine goes down.

Several processes may use a folder at once: each writes a file of its own, reads the others' as they
grow, and claims a request before it is sent, so that each is sent once.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.core.files import write_bytes
from vasari.core.secrets import blot
from vasari.endpoint.claims import Claims
from vasari.endpoint.cost import Usage
from vasari.endpoint.log import LogFile, Sync, WrittenLog
from vasari.endpoint.request import Request
from vasari.endpoint.response import Failure, Response, is_raised
from vasari.endpoint.reuse import Reuse

_LENGTH_BITS = 40
_OFFSET_BITS = 48
_MOST_WRITERS = 1000


_ALL = Reuse()


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

    Args:
        folder: The store's; processes may share it, and each finds the answers of the others.
        shard: Name of the file that this process writes; by default the first that is free.
        sync: When the disk must have an answer.

    Raises:
        StateError: Another process writes this shard, or the folder holds something else.
        StorageError: The disk refuses.
    """

    def __init__(
        self, folder: Path | str, *, shard: str | None = None, sync: Sync = "interval"
    ) -> None:
        if shard is not None and not shard.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"a shard's name is of letters, digits, '-' and '_', got {shard!r}")
        if sync not in ("always", "interval", "never"):
            raise ConfigError(f"sync must be 'always', 'interval' or 'never', got {sync!r}")
        self.folder = Path(folder)
        self._responses: dict[bytes, int] = {}
        self._failures: dict[bytes, int] = {}
        self._faulty: set[bytes] = set()
        self._usage: defaultdict[str, Usage] = defaultdict(Usage)
        self._handed_out: dict[bytes, Failure] = {}
        self._files: dict[str, tuple[int, LogFile]] = {}
        self._by_number: list[LogFile] = []
        self._damaged = 0
        self._closed = False
        self._log = _written_log(self.folder, shard, sync)
        try:
            self._claims = Claims(self.folder / "claims.lock")
            # The own shard comes last, so that its lines replace those of the others.
            self.refresh()
            self._take_in(self._log)
            self._index_new(len(self._by_number) - 1)
        except BaseException:
            self._close_files()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._responses)

    @property
    def health(self) -> StoreHealth:
        """Numbers of answers and failures now stored, and the damage found on opening the store."""
        torn = self._log.torn_bytes
        return StoreHealth(len(self._responses), len(self._failures), torn, self._damaged)

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
        self, request: Request, index: int, reuse: Reuse = _ALL
    ) -> Response | Failure | None:
        """Return a request's stored `index`-th answer or failure, by `reuse`; None: to be sent."""
        response = self.get(request.key, index)
        return reuse.of(request, response, self.get_failure(request.key, index))

    def look_up_all(
        self, requests: Iterable[Request], num_responses: int, reuse: Reuse = _ALL
    ) -> Iterator[tuple[Request, int, Response | Failure | None]]:
        """Yield (request, answer number, stored answer or failure or None), without repeats."""
        seen: set[tuple[str, int]] = set()
        for request in requests:
            for index in range(num_responses):
                if (request.key, index) not in seen:
                    seen.add((request.key, index))
                    yield request, index, self.look_up(request, index, reuse)

    def hand_out(self, failure: Failure) -> None:
        """Note a failure that a run of requests has returned, whether new or stored."""
        self._handed_out[_slot(failure.key, failure.index)] = failure

    def take_failures(self) -> list[Failure]:
        """Return the failures that runs of requests have returned since the last call."""
        found = list(self._handed_out.values())
        self._handed_out.clear()
        return found

    def claim(self, key: str, index: int) -> bool:
        """Claim a request's answer for this process; return False while another one asks for it.

        After it, `refresh` and look the answer up again: the other may have stored it.
        """
        return self._claims.take(_slot(key, index))

    def give_back(self, key: str, index: int) -> None:
        """End a claim."""
        self._claims.give_back(_slot(key, index))

    def refresh(self) -> Mapping[str, Usage]:
        """Take in what other processes have stored since; return what they used, by model."""
        before = dict(self._usage)
        with os.scandir(self.folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.startswith("responses-") and entry.name.endswith(".jsonl")
            )
        for name in names:
            if name not in self._files and name != self._log.path.name:
                self._take_in(LogFile(self.folder / name))
        for number, file in enumerate(self._by_number):
            if file is not self._log:
                self._index_new(number)
        return {
            model: used - before.get(model, Usage())
            for model, used in self._usage.items()
            if used != before.get(model)
        }

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
        used = usage if usage is not None else Usage.of(response)
        place = self._keep(key, response, model, request_id, used)
        self._point_to(_slot(key, response.index), response, place)

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
        row: dict[str, Any] = {"model": model, "usage": usage.to_row()}
        self._append(row)
        self._usage[row["model"]] += usage

    def failures(self) -> Iterator[Failure]:
        """Yield the stored failures: one for each answer whose last attempt failed.

        An answer that is none (filtered, declined, empty) is among them.
        """
        for place in list(self._failures.values()):
            yield Failure.from_row(self._read(place))
        for slot in sorted(self._faulty):
            row = self._read(self._responses[slot])
            yield Failure.of_faulty(Response.from_row(row), request_id=row["id"], key=row["key"])

    def close(self) -> None:
        """Sync the log of answers to disk and release the folder; may be called twice."""
        if not self._closed:
            self._closed = True
            self._close_files()

    def _take_in(self, file: LogFile) -> None:
        self._files[file.path.name] = len(self._by_number), file
        self._by_number.append(file)

    def _index_new(self, number: int) -> None:
        """Index the new lines of a file; those that cannot be read are counted and skipped."""
        for offset, line in self._by_number[number].new_lines():
            try:
                self._index(orjson.loads(line), _place(number, offset, len(line)))
            except (ValueError, KeyError, TypeError, AttributeError):  # a crash of the machine
                self._damaged += 1

    def _index(self, row: dict[str, Any], place: int) -> None:
        usage = Usage.from_row(row["usage"])  # first, for a damaged row must not count in part
        if "key" in row:
            slot = _slot(row["key"], row["index"])
            if "failure" in row:
                if not self._is_answered(slot, row, place):
                    self._failures[slot] = place
            else:
                response = Response.from_row(row)
                if not self._is_outranked(slot, response, row["time"], place):
                    self._point_to(slot, response, place)
        self._usage[row["model"]] += usage

    def _is_answered(self, slot: bytes, row: dict[str, Any], place: int) -> bool:
        """Whether another process's answer ends a failure, whichever of the two was first.

        Within one file the order of the lines says it.
        """
        known = self._responses.get(slot)
        if known is None or _number(known) == _number(place):
            return False
        return _ends(Response.from_row(self._read(known)), row["limit"])

    def _is_outranked(self, slot: bytes, response: Response, at: float, place: int) -> bool:
        """Whether another process has stored a better or a later answer to the same request."""
        known = self._responses.get(slot)
        if known is None or _number(known) == _number(place):
            return False
        row = self._read(known)
        return _rank(Response.from_row(row), row["time"]) > _rank(response, at)

    def _point_to(self, slot: bytes, response: Response, place: int) -> None:
        self._responses[slot] = place
        failed = self._failures.get(slot)
        if failed is not None and (
            _number(failed) == _number(place) or _ends(response, self._read(failed)["limit"])
        ):
            del self._failures[slot]
        if response.fault:
            self._faulty.add(slot)
        else:
            self._faulty.discard(slot)

    def _keep(
        self, key: str, outcome: Response | Failure, model: str, request_id: str, usage: Usage
    ) -> int:
        row: dict[str, Any] = {"key": key, "index": outcome.index, "id": request_id}
        row["model"] = model
        row |= {**outcome.to_row(), "usage": usage.to_row(), "time": round(time.time(), 3)}
        place = self._append(row)
        self._usage[row["model"]] += usage
        return place

    def _append(self, row: dict[str, Any]) -> int:
        """Write a line and return its place: file, offset and length in one integer."""
        if self._closed:
            raise StateError(f"{self._log.path} is closed")
        for name, value in row.items():
            if isinstance(value, str):
                # JSON cannot hold lone surrogates.
                row[name] = blot(value.encode("utf-8", "replace").decode())
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        return _place(self._files[self._log.path.name][0], self._log.append(line), len(line))

    def _read(self, place: int) -> dict[str, Any]:
        offset = place >> _LENGTH_BITS & ((1 << _OFFSET_BITS) - 1)
        row: dict[str, Any] = orjson.loads(
            self._by_number[_number(place)].read(offset, place & ((1 << _LENGTH_BITS) - 1))
        )
        return row

    def _close_files(self) -> None:
        try:
            self._log.close()
        finally:
            if hasattr(self, "_claims"):
                self._claims.close()
            for file in self._by_number:
                if file is not self._log:
                    file.close()


def write_dead_letters(store: ResponseStore, path: Path) -> int:
    """Write the failed requests in the store to a file of JSON lines; return their number.

    Raises:
        StorageError: The disk refused.
    """
    lines = [json.dumps(failure.summary()) + "\n" for failure in store.failures()]
    write_bytes(path, "".join(lines).encode())
    return len(lines)


def _written_log(folder: Path, shard: str | None, sync: Sync) -> WrittenLog:
    """The file that this process writes: of the shard's name, or the first that is free."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be opened: {error.strerror or error}") from error
    names = [shard] if shard else ["main", *(f"main-{n}" for n in range(2, _MOST_WRITERS))]
    for name in names:
        try:
            return WrittenLog(folder / f"responses-{name}.jsonl", sync)
        except BlockingIOError:
            continue
    raise StateError(
        f"{folder / f'responses-{names[-1]}.jsonl'} is being written by another process; give this"
        " one a shard of its own"
    )


def _rank(response: Response, at: float) -> tuple[bool, bool, float, float]:
    """Which of two answers to one request counts: one with text, whole, of more tokens, later."""
    limit = float("inf") if response.limit is None else float(response.limit)
    return not response.fault, not response.truncated, limit, at


def _ends(response: Response, limit: int | None) -> bool:
    """Whether an answer ends a failure that was asked with a token limit."""
    return not (response.truncated and is_raised(limit, response.limit))


def _place(number: int, offset: int, length: int) -> int:
    return number << (_OFFSET_BITS + _LENGTH_BITS) | offset << _LENGTH_BITS | length


def _number(place: int) -> int:
    return place >> (_OFFSET_BITS + _LENGTH_BITS)


def _slot(key: str, index: int) -> bytes:
    return bytes.fromhex(key) + index.to_bytes(4, "big")
