"""Reads and writes shards as Parquet files: prompts, with their images by path and hash.

So a shard is text, however large its images are.
"""

from __future__ import annotations

import bisect
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.core.files import writing
from vasari.core.records import ImageRef, Prompt
from vasari.core.secrets import blot
from vasari.curate.match.image_hash import ImageIndex

ROW_SCHEMA = 1

HASH_BYTES = 32

_PLAIN_FIELDS = ("id", "question", "answer", "kind", "category", "difficulty", "solution")
_TEXT = pa.string()
_IMAGE = pa.struct([("path", _TEXT), ("digest", _TEXT), ("hash", pa.binary(HASH_BYTES))])
_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("id", "question", "answer")),
        ("images", pa.list_(_IMAGE)),
        ("choices", pa.list_(_TEXT)),
        *((name, _TEXT) for name in ("kind", "category", "difficulty", "solution", "metadata")),
        # Repeated from the metadata, so that counting reads three columns.
        *((name, _TEXT) for name in ("source", "domain", "licence")),
    ],
    metadata={"vasari_rows": str(ROW_SCHEMA)},
)
_TEXT_COLUMNS = ("id", "question", "answer", "choices", "category", "images.list.element.hash")
_ROWS_TOGETHER = 100_000
"""Of shards that are held: many small buffers take twice the memory of few large ones."""
GROUPS: tuple[str, ...] = ("source", "domain", "licence")
"""Columns that are counted, each also a key of the metadata."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Digest of an image's encoded bytes, and perceptual hash of its pixels."""

    digest: str
    """SHA-256 of the encoded bytes, in hex."""
    hash: bytes
    """The perceptual hash, 256 bits."""


@dataclass(slots=True, kw_only=True)
class Shard:
    """A shard: a block of prompts that a stage processes at once."""

    prompts: tuple[Prompt, ...]
    facts: Mapping[str, ImageFacts]
    """Digest and hash of the images, by path; the stage that checks images fills it in."""
    number: int = 0
    progress: Callable[[int, int], None] | None = None
    """Called with the number of prompts done and their total."""
    failures: Sequence[Mapping[str, Any]] = ()
    """Requests about the shard's prompts that brought no answer; a stage that asks fills it in."""
    stopped_by: str = ""
    """Why the stage could not send all requests; "" if it could."""

    def image_index(self) -> ImageIndex:
        """Return the hashes of the shard's images, in the form `BenchmarkIndex.leaks` takes."""
        hashes = [
            [self.facts[str(ref.path)].hash for ref in prompt.images] for prompt in self.prompts
        ]
        known: dict[bytes, int] = {}
        members = [known.setdefault(code, len(known)) for codes in hashes for code in codes]
        return ImageIndex(
            codes=np.frombuffer(b"".join(known), dtype=np.uint64).reshape(-1, 4),
            starts=np.concatenate([[0], np.cumsum([len(codes) for codes in hashes])]).astype(
                np.int64
            ),
            members=np.array(members, dtype=np.int64),
            dropped=(),
        )


def read_shard(path: Path, root: Path, *, number: int = 0) -> Shard:
    """Read a shard of prompts from its Parquet file; image paths are relative to `root`."""
    table = read_table(path)
    facts: dict[str, ImageFacts] = {}
    prompts = []
    for row in table.to_pylist():
        images = []
        for image in row["images"] or ():
            place = os.path.join(root, image["path"])  # noqa: PTH118  (a million times)
            images.append(ImageRef(path=place))
            if image["digest"] is not None:
                facts[place] = ImageFacts(image["digest"], image["hash"])
        prompts.append(_prompt(row, tuple(images)))
    return Shard(prompts=tuple(prompts), facts=facts, number=number)


def write_rows(
    path: Path, prompts: Sequence[Prompt], facts: Mapping[str, ImageFacts], root: Path
) -> None:
    """Write prompts to a Parquet shard file, which appears only when it is complete.

    Raises:
        StorageError: The disk refused.
    """
    rows = []
    for prompt in prompts:
        images = []
        for ref in prompt.images:
            known = facts.get(str(ref.path))
            images.append(
                {
                    "path": _below(str(ref.path), root),
                    "digest": known.digest if known else None,
                    "hash": known.hash if known else None,
                }
            )
        row = {name: getattr(prompt, name) for name in _PLAIN_FIELDS}
        row |= {
            "images": images,
            "choices": None if prompt.choices is None else list(prompt.choices),
        }
        row["metadata"] = json.dumps(dict(prompt.metadata), ensure_ascii=False)
        row |= {name: str(prompt.metadata.get(name, "")) for name in GROUPS}
        rows.append(
            {n: blot(value) if isinstance(value, str) else value for n, value in row.items()}
        )
    write_table(path, pa.Table.from_pylist(rows, schema=_SCHEMA))


def row_starts(paths: Sequence[Path]) -> list[int]:
    """Position of each shard's first row among the rows of all shards, then the number of rows."""
    starts = [0]
    for path in paths:
        starts.append(starts[-1] + int(pq.read_metadata(path).num_rows))
    return starts


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table to a Parquet file, which replaces `path` only when it is complete.

    Raises:
        StorageError: The disk refused.
    """
    with writing(path) as file:
        pq.write_table(table, file, compression="zstd")


class _ShardedRows(Sequence[Prompt]):
    """Sequence of the prompts of many shards."""

    _starts: list[int]
    """Where each shard begins, and where the last one ends."""

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, place: int) -> Prompt: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Prompt]: ...
    def __getitem__(self, place: int | slice) -> Prompt | Sequence[Prompt]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        return self._prompt(*self._where(place))

    def _where(self, place: int) -> tuple[int, int]:
        if not 0 <= place < len(self):
            raise IndexError(place)
        number = bisect.bisect_right(self._starts, place) - 1
        return number, place - self._starts[number]

    @abstractmethod
    def _prompt(self, number: int, row: int) -> Prompt:
        """The prompt in a row of a shard."""


class PromptRows(_ShardedRows):
    """Sequence of the prompts of many shards, with one shard in memory at a time."""

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self._paths, self._root = list(paths), root
        self._starts = row_starts(self._paths)
        self._held: tuple[int, tuple[Prompt, ...]] = (-1, ())

    def __iter__(self) -> Iterator[Prompt]:
        for number in range(len(self._paths)):
            yield from self._shard(number)

    def _prompt(self, number: int, row: int) -> Prompt:
        return self._shard(number)[row]

    def _shard(self, number: int) -> tuple[Prompt, ...]:
        if self._held[0] != number:
            self._held = (number, read_shard(self._paths[number], self._root).prompts)
        return self._held[1]


class TextRows(_ShardedRows):
    """Sequence of the prompts of many shards, with all texts in memory and images as hashes.

    Memory: the text itself and about 20 bytes a row. An image is stood in for by a reference that
    leads nowhere; `images` has the hashes.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._tables: list[pa.Table] = []
        pending: list[pa.Table] = []
        known: dict[bytes, int] = {}
        members: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        counts: list[NDArray[np.int64]] = []
        for path in paths:
            table = read_table(path, _TEXT_COLUMNS).combine_chunks()
            images = table.column("images").combine_chunks()
            offsets: NDArray[np.int64] = np.asarray(images.offsets, dtype=np.int64)
            counts.append(offsets[1:] - offsets[:-1])
            flat = images.flatten().field("hash")
            raw = (
                np.frombuffer(flat.buffers()[1], dtype=np.uint8)
                if len(flat)
                else np.zeros(0, dtype=np.uint8)
            )
            first = flat.offset * HASH_BYTES
            hashes = raw[first : first + len(flat) * HASH_BYTES].view(f"V{HASH_BYTES}")
            distinct, place = np.unique(hashes, return_inverse=True)
            codes = np.array(
                [known.setdefault(code.tobytes(), len(known)) for code in distinct], dtype=np.int64
            )
            members.append(codes[place])
            pending.append(table.drop_columns(["images"]))
            if sum(map(len, pending)) >= _ROWS_TOGETHER or path is paths[-1]:
                self._tables.append(pa.concat_tables(pending).combine_chunks())
                pending = []
        self._starts = [0]
        for table in self._tables:
            self._starts.append(self._starts[-1] + len(table))
        self._counts = np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)
        self.images = ImageIndex(
            codes=np.frombuffer(b"".join(known), dtype=np.uint64).reshape(-1, 4),
            starts=np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64),
            members=np.concatenate(members),
            dropped=(),
        )

    def _prompt(self, number: int, row: int) -> Prompt:
        columns = ("id", "question", "answer", "category", "choices")
        values = {name: self._tables[number].column(name)[row].as_py() for name in columns}
        choices = values.pop("choices")
        images = (_SOMEWHERE,) * int(self._counts[self._starts[number] + row])
        return Prompt(**values, choices=None if choices is None else tuple(choices), images=images)


_SOMEWHERE = ImageRef(path="(in the shard)")


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of a shard file, or some of its columns, as an Arrow table.

    Raises:
        StateError: The file is damaged, or no shard of this version.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(columns) if columns else None, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StateError(
            f"{path}: a shard cannot be read ({error}); remove its stage's folder to make it again"
        ) from error
    if (table.schema.metadata or {}).get(b"vasari_rows") != str(ROW_SCHEMA).encode():
        raise StateError(
            f"{path}: not a shard of schema {ROW_SCHEMA}; remove the `stages` folder to make it"
            " again"
        )
    return table


def _prompt(row: Mapping[str, Any], images: tuple[ImageRef, ...]) -> Prompt:
    return Prompt(
        id=row["id"],
        question=row["question"],
        answer=row["answer"],
        images=images,
        choices=None if row["choices"] is None else tuple(row["choices"]),
        kind=row["kind"],
        category=row["category"],
        difficulty=row["difficulty"],
        solution=row["solution"],
        metadata=json.loads(row["metadata"]),
    )


def _below(path: str, root: Path) -> str:
    """The path relative to the root if it is below it, so that a run's folder may be moved."""
    start = f"{root}{os.sep}"  # Path is slow, and this is done a million times
    return path[len(start) :] if path.startswith(start) else path
