"""Outputs on disk: one JSON line a rollout, appended as they come, put in order at the end. A kill
costs no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import StateError, StorageError
from vasari.core.files import append_lines, writing
from vasari.evaluate.rescore.verdict_file import count_whole_lines

OutputKey = tuple[str, str, int]
"""Set, prompt id, number of the rollout."""


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """Where an output lies, and what decides whether it still counts."""

    asked: str
    """`question_key` of what was asked."""
    truncated: bool
    max_tokens: int
    num_tokens: int
    offset: int
    length: int

    def serves(self, asked: str, max_tokens: int) -> bool:
        """Whether it is what would come now: the same question, and no limit in the way then or
        now.
        """
        if self.asked != asked:
            return False
        return self.max_tokens == max_tokens or (
            not self.truncated and self.num_tokens <= max_tokens
        )


class OutputFile:
    """The outputs of one pass.

    Raises:
        StateError: A line that is no output.
        StorageError: The disk refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: {error.strerror or error}") from error
        count_whole_lines(path)  # cuts what a killed run left of a last line
        self.stored: dict[OutputKey, StoredRollout] = {}
        for key, found in _scan(path):
            self.stored[key] = found  # the last of several: those before were cut by a lower limit

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add outputs, in one write."""
        lines = [json.dumps(row, ensure_ascii=True) + "\n" for row in rows]
        end = self.path.stat().st_size if self.path.exists() else 0
        append_lines(self.path, lines)
        for row, line in zip(rows, lines, strict=True):
            self.stored[_key(row)] = _facts(row, end, len(line))
            end += len(line)

    def put_in_order(self, keys: Sequence[OutputKey]) -> None:
        """Rewrite the file: these outputs in this order, then all others; of each, the last one."""
        wanted = [key for key in keys if key in self.stored]
        rest = set(self.stored) - set(wanted)
        order = wanted + [key for key in self.stored if key in rest]
        places = [self.stored[key] for key in order]
        ends = [0, *(place.offset + place.length for place in places)]
        size = self.path.stat().st_size if self.path.exists() else 0
        if [place.offset for place in places] == ends[:-1] and ends[-1] == size:
            return
        with writing(self.path) as new, self.path.open("rb") as old:
            for place in places:
                old.seek(place.offset)
                new.write(old.read(place.length))
        self.stored = dict(_scan(self.path))


def read_outputs(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an output file, one at a time.

    Raises:
        StateError: A line is no output.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            yield _parsed(line, path, number)


def _scan(path: Path) -> Iterator[tuple[OutputKey, StoredRollout]]:
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = _parsed(line, path, number)
            yield _key(row), _facts(row, offset, len(line))
            offset += len(line)


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row["response"], str):
            raise TypeError
        _key(row), _facts(row, 0, 0)
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{path}:{number}: is no output of an evaluation; move the file away or choose another"
            " --out"
        ) from error
    return dict(row)


def _key(row: Mapping[str, Any]) -> OutputKey:
    return str(row["set"]), str(row["id"]), int(row["rollout"])


def _facts(row: Mapping[str, Any], offset: int, length: int) -> StoredRollout:
    return StoredRollout(
        asked=str(row["asked"]),
        truncated=bool(row["truncated"]),
        max_tokens=int(row["max_tokens"]),
        num_tokens=int(row["num_tokens"]),
        offset=offset,
        length=length,
    )
