"""Outputs of a policy on disk: JSON lines, appended during generation, ordered at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vasari.core.errors import StateError, StorageError
from vasari.core.files import append_lines, writing

OutputKey = tuple[str, str, int]
"""Set, prompt id, number of the rollout."""


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """Stored rollout: its byte position in the file, a digest of what was asked, and its length."""

    asked: str
    """Digest of what the rollout was generated from: an entry of `Pass.keys`."""
    truncated: bool
    max_tokens: int
    num_tokens: int
    offset: int
    length: int

    def serves(self, asked: str, max_tokens: int) -> bool:
        """Whether the stored rollout can be reused for digest `asked` and limit `max_tokens`."""
        if self.asked != asked:
            return False
        return self.max_tokens == max_tokens or (
            not self.truncated and self.num_tokens <= max_tokens
        )


class OutputFile:
    """File of model outputs, one JSON line per rollout; complete lines survive a killed process.

    Raises:
        StateError: A line is no output.
        StorageError: The disk refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        keep_lines(path)
        # The last of several outputs of one rollout: those before were cut by a lower limit.
        self.stored = {key: stored for _, key, stored in _scan(path)}

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append model outputs (dicts, one per rollout) to the file, in one write."""
        lines = [json.dumps(row, ensure_ascii=True) + "\n" for row in rows]
        end = self.path.stat().st_size if self.path.exists() else 0
        append_lines(self.path, lines)
        for row, line in zip(rows, lines, strict=True):
            self.stored[_key(row)] = _stored(row, end, len(line))
            end += len(line)

    def put_in_order(self, keys: Sequence[OutputKey]) -> None:
        """Rewrite the file: outputs in the order of `keys` first, then all others, no duplicates.

        Of several outputs of one rollout the last is kept.
        """
        wanted = [key for key in keys if key in self.stored]
        places = [self.stored[key] for key in dict.fromkeys([*wanted, *self.stored])]
        ends = [0, *(place.offset + place.length for place in places)]
        size = self.path.stat().st_size if self.path.exists() else 0
        if [place.offset for place in places] == ends[:-1] and ends[-1] == size:
            return
        with writing(self.path) as new, self.path.open("rb") as old:
            for place in places:
                old.seek(place.offset)
                new.write(old.read(place.length))
        self.stored = {key: stored for _, key, stored in _scan(self.path)}


def output_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Return an iterator over the rows (one per rollout) of an output file; none if it is missing.

    Raises:
        StateError: A line is no output.
    """
    return (row for row, _, _ in _scan(path))


def keep_lines(path: Path, most: int | None = None) -> int:
    """Truncate a file after its first `most` complete lines, and return the number of lines kept.

    None keeps all complete lines; a last line that a killed process left incomplete is cut. A
    missing file has 0 lines.

    Raises:
        StorageError: The disk refused.
    """
    if not path.exists():
        return 0
    count = end = 0
    try:
        with path.open("rb+") as file:
            for line in islice(file, most):
                if line.endswith(b"\n"):
                    count, end = count + 1, end + len(line)
            file.truncate(end)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    return count


def _scan(path: Path) -> Iterator[tuple[dict[str, Any], OutputKey, StoredRollout]]:
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                if not isinstance(row["response"], str):
                    raise TypeError
                key, stored = _key(row), _stored(row, offset, len(line))
            except (ValueError, KeyError, TypeError) as error:
                raise StateError(
                    f"{path}:{number}: is no output of an evaluation; move the file away or choose"
                    " another --out"
                ) from error
            yield row, key, stored
            offset += len(line)


def _key(row: Mapping[str, Any]) -> OutputKey:
    return str(row["set"]), str(row["id"]), int(row["rollout"])


def _stored(row: Mapping[str, Any], offset: int, length: int) -> StoredRollout:
    return StoredRollout(
        asked=str(row["asked"]),
        truncated=bool(row["truncated"]),
        max_tokens=int(row["max_tokens"]),
        num_tokens=int(row["num_tokens"]),
        offset=offset,
        length=length,
    )
