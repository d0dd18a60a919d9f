"""Reads the files of a finished curation as their readers would, before it is called done.

All rows are read by the rules of their trainers (`reader_rules`), without the bytes of images; the
first rows also by the loaders themselves, with images decoded: `datasets`, which TRL, EasyR1, verl
and LLaMA-Factory open files with, and TRL's own preparation of conversations. What is not installed
is said.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.core.errors import StateError, VasariError
from vasari.core.files import read_json
from vasari.core.records import ImageRef, Prompt
from vasari.curate.out.reader_rules import (
    RULES,
    SHAREGPT_COLUMNS,
    SHAREGPT_TAGS,
    Row,
    row_problem,
    set_rule,
)

T = TypeVar("T")

LOADED_ROWS = 64
"""Rows that the loaders themselves read, images decoded: some milliseconds a row."""

_MOST_PROBLEMS = 5
"""Problems of a file that are told."""
_BATCH = 1024
_LARGEST_JSON = 200_000_000
"""Bytes; `datasets` reads a JSON array whole."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException, VasariError)
_PLACEHOLDER = ImageRef(path="(in the file)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """How a file of a curation was read back: rows, readers, and what they could not read."""

    rows: int
    read_by: tuple[str, ...]
    """Readers, with the number of rows where it is not all."""
    not_read_by: Mapping[str, str] = field(default_factory=dict)
    """Reader -> why it was not tried."""
    problems: tuple[str, ...] = ()
    """The first problems found; empty if the file can be read."""
    num_problems: int = 0

    def summary(self) -> dict[str, Any]:
        """Return this as a dict for the manifest."""
        return {
            "rows": self.rows,
            "read_by": list(self.read_by),
            "not_read_by": dict(self.not_read_by),
            "problems": list(self.problems),
            "num_problems": self.num_problems,
        }


class _Findings:
    """Rows of one file, and its problems, the first ones in words."""

    def __init__(self) -> None:
        self.rows = 0
        self.shown: list[str] = []
        self.count = 0

    def add(self, problem: str) -> None:
        self.count += 1
        if len(self.shown) < _MOST_PROBLEMS:
            self.shown.append(problem)


def read_back(
    root: Path, manifest: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Read a curation's sets and exports as their readers do; return what came, by file.

    A file that an earlier run has read whole, by all readers and without a problem, is not read
    again.

    Args:
        root: Folder of the run.
        manifest: What was written: `sets` with the number of prompts and the hash of each, and
            `exports` with the hash of each file.
        before: The manifest of the run before; empty without one.
    """
    found: dict[str, dict[str, Any]] = {}
    known = _part(before, "read_back")
    for path, kind, name in _files(manifest):
        old = _part(known, path)
        whole = bool(old) and not old.get("problems") and not old.get("not_read_by")
        if whole and _hash(before, path) == _hash(manifest, path):
            found[path] = old
            continue
        size = manifest["sets"][kind]["prompts"]
        read = (
            _read_set(root / path, kind, size)
            if name is None
            else _read_export(root, root / path, name, kind, size)
        )
        found[path] = read.summary()
    return found


def require_readable(root: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise unless every file of a curation could be read back.

    Raises:
        StateError: Names the first file with its first problem.
    """
    for path, read in found.items():
        if not read["problems"]:
            continue
        more = f" (and {read['num_problems'] - 1:,} more)" if read["num_problems"] > 1 else ""
        raise StateError(
            f"{root / path} cannot be used, so this curation is not done: {read['problems'][0]}"
            f"{more}. Where a stage of your own wrote the text, mend the stage; else remove the"
            " file and run the same command again"
        )


def _files(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Path in the run's folder, kind of set and export (None: the set itself) of each file."""
    kinds = [kind for kind, written in manifest["sets"].items() if written["prompts"]]
    yield from ((f"{kind}.parquet", kind, None) for kind in kinds)
    for file in manifest["exports"]:
        name, _, last = file.partition("/")
        yield f"exports/{file}", last.partition(".")[0], name


def _hash(manifest: Mapping[str, Any], path: str) -> object:
    if path.startswith("exports/"):
        return _part(manifest, "exports").get(path.removeprefix("exports/"))
    return _part(_part(manifest, "sets"), path.removesuffix(".parquet")).get("hash")


def _part(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of a manifest, which somebody may have edited; empty where it is no object."""
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _read_set(path: Path, kind: str, size: int) -> FileRead:
    found = _Findings()
    try:
        for prompt in _counted(_prompts(path), found):
            if problem := set_rule(prompt, kind):
                found.add(f"prompt {prompt.id!r}: {problem}")
    except _UNREADABLE as error:
        found.add(f"row {found.rows + 1}: {error}")
    return _told(path, size, found, by=("rules of vasari",), name="set")


def _read_export(root: Path, path: Path, name: str, kind: str, size: int) -> FileRead:
    found, rule = _Findings(), RULES[name]
    try:
        if name == "sharegpt":
            _check_info(path, kind, found)
        files = _image_files(path.parent) if name == "sharegpt" else None
        given = _json_rows(path) if name == "sharegpt" else _parquet_rows(path)
        # What is left over on one side shows in the number of rows.
        for row, prompt in zip(_counted(given, found), _prompts(root / f"{kind}.parquet")):  # noqa: B905
            problem = row_problem(rule, row, prompt, kind)
            if not problem and files is not None and not files.issuperset(row["images"]):
                problem = "an image has no file"
            if problem:
                found.add(f"prompt {prompt.id!r}: {problem}")
    except _UNREADABLE as error:
        found.add(f"row {found.rows + 1}: {error}")
    return _told(path, size, found, by=(f"rules of {name}",), name=name)


def _counted(rows: Iterator[T], found: _Findings) -> Iterator[T]:
    for row in rows:
        found.rows += 1
        yield row


def _told(path: Path, size: int, found: _Findings, *, by: tuple[str, ...], name: str) -> FileRead:
    """The result of a file: the rules' findings, and those of the loaders that are installed."""
    if not found.count and found.rows != size:
        found.add(f"{found.rows:,} rows where the set has {size:,} prompts")
    left: dict[str, str] = {}
    loaders = ["datasets", *(["trl"] if name == "trl" else [])]
    for loader in [] if found.count else loaders:
        why = _cannot_load(loader, path)
        if why:
            left[loader] = why
            continue
        count, problem = _LOADERS[loader](path)
        by = (*by, f"{loader} {importlib.metadata.version(loader)} ({count:,} rows)")
        if problem:
            found.add(f"{loader}: {problem}")
    return FileRead(
        rows=found.rows,
        read_by=by,
        not_read_by=left,
        problems=tuple(found.shown),
        num_problems=found.count,
    )


def _cannot_load(loader: str, path: Path) -> str:
    if importlib.util.find_spec(loader) is None:
        return "not installed; checked by rules alone"
    if path.suffix == ".json" and path.stat().st_size > _LARGEST_JSON:
        return f"it reads a JSON file whole, and this one has {path.stat().st_size:,} bytes"
    return ""


def _by_datasets(path: Path) -> tuple[int, str]:
    """Rows that `datasets` reads, images decoded, and what went wrong."""
    count = 0
    try:
        for row in _loaded(path):
            count += 1
            for image in row["images"] or () if path.suffix != ".json" else ():
                if not isinstance(image, str):
                    image.load()
    except Exception as error:  # noqa: BLE001  (whatever another library raises)
        return count, f"row {count + 1}: {type(error).__name__}: {error}"[:300]
    return count, "" if count else "no row"


def _by_trl(path: Path) -> tuple[int, str]:
    """Rows that TRL prepares for its trainers, and what went wrong."""
    from vasari.model.trl_messages import prepared  # noqa: PLC0415  (torch takes seconds)

    count = 0
    try:
        for row in _loaded(path):
            prepared(row)
            count += 1
    except Exception as error:  # noqa: BLE001  (whatever another library raises)
        return count, f"row {count + 1}: {type(error).__name__}: {error}"[:300]
    return count, ""


_LOADERS: Mapping[str, Callable[[Path], tuple[int, str]]] = {
    "datasets": _by_datasets,
    "trl": _by_trl,
}


def _loaded(path: Path) -> Iterator[dict[str, Any]]:
    """The first rows of a file as `datasets` streams them."""
    import datasets  # noqa: PLC0415  (it takes seconds, and not every installation has it)

    with tempfile.TemporaryDirectory() as cache:
        rows = datasets.load_dataset(
            path.suffix.removeprefix("."),
            data_files=str(path),
            split="train",
            streaming=True,
            cache_dir=cache,
        )
        yield from itertools.islice(rows, LOADED_ROWS)


def _prompts(path: Path) -> Iterator[Prompt]:
    """The prompts of a set's file, without the bytes of their images."""
    for row in _parquet_rows(path):
        yield Prompt(
            id=row["id"],
            question=row["question"],
            answer=row["answer"],
            choices=None if row["choices"] is None else tuple(row["choices"]),
            images=(_PLACEHOLDER,) * len(row["images"]),
            solution=row["solution"],
            metadata=json.loads(row["metadata"]),
        )


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, of whose images the paths alone are read."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        bare = pa.types.is_string(schema.field("images").type.value_type)  # slime's data URIs
        names = [name for name in schema.names if name != "images"]
        images = "images.list.element" if bare else "images.list.element.path"
        for batch in file.iter_batches(_BATCH, columns=[*names, images]):
            yield from batch.to_pylist()


def _json_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSON array that has one a line."""
    with path.open(encoding="utf-8") as file:
        if file.readline() != "[\n":
            raise ValueError("it begins with no array")
        for line in file:
            if line == "]\n":
                return
            yield json.loads(line.removesuffix("\n").removesuffix(","))
    raise ValueError("its array does not end")


def _image_files(folder: Path) -> set[str]:
    images = folder / "images"
    return {f"images/{path.name}" for path in images.iterdir()} if images.is_dir() else set()


def _check_info(path: Path, kind: str, found: _Findings) -> None:
    entry = read_json(path.with_name("dataset_info.json")).get(f"vasari_{kind}", {})
    if (entry.get("file_name"), entry.get("formatting")) != (path.name, "sharegpt"):
        found.add(f"dataset_info.json does not name {path.name} as sharegpt")
    if (entry.get("columns"), entry.get("tags")) != (SHAREGPT_COLUMNS, SHAREGPT_TAGS):
        found.add("dataset_info.json has other columns or tags")
