"""Read the prompts of a public data set from the folder that holds it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import Prompt
from vasari.data.rows import read_rows
from vasari.data.sources.arc import arc_rows
from vasari.data.sources.build import Builder
from vasari.data.sources.columns import column_value
from vasari.data.sources.conversations import conversation_rows, llamafactory_rows
from vasari.data.sources.raven import raven_rows
from vasari.data.sources.spec import Layout, SourceSpec, describe_source
from vasari.data.sources.wikitables import wikitable_rows
from vasari.data.stored_row import StoredRow

Reader = Callable[[Path, Path, str], Iterator[StoredRow]]
"""Makes rows of a file, given the data set's folder and the file's name for messages; an error
ends the file."""

READERS: Mapping[str, Reader] = {
    "raven": raven_rows,
    "arc": arc_rows,
    "wikitables": wikitable_rows,
    "conversations": conversation_rows,
    "llamafactory": llamafactory_rows,
}

_LISTED = 12
_MAX_REASON = 500
_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".zst", ".xz", ".bz2", ".lz4", ".7z", ".rar")
_FOLDER = "it is a folder"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A data set's row that cannot become a prompt: its place in a file, and the reason."""

    source: str
    where: str
    """File, relative to the data set's folder, and the line, row or entry in it."""
    reason: str


@dataclass(frozen=True, slots=True)
class _File:
    split: str
    path: Path
    shown: str
    problem: str = ""
    """Why it is not read, such as a link that leads nowhere."""


def read_source(
    name: str,
    folder: Path | str,
    *,
    split: str = "train",
    allow_test: bool = False,
    limit: int | None = None,
    images: bool = True,
    called: str = "",
) -> Iterator[Prompt | BadRow]:
    """Yield a public data set's prompts in file order, and a `BadRow` for each unusable row.

    A prompt's id is `source/native id`, and where another row has used it, with the row's file and
    number behind it; a row that repeats one to the letter is bad. Its metadata holds `source`,
    `native_id`, `split`, `licence`, `domain`, `category` and `tier`, and under `columns` what the
    data set itself says. Images are found and their headers read here;
    nothing is decoded.

    Args:
        name: One of `SOURCES`, or the path of a YAML description.
        folder: Where the data set lies, unpacked. Nothing outside it is read.
        split: Which split. A source that is a test set alone gives its first test split for
            "train".
        allow_test: Read a test split, or a source that is published for testing alone.
        limit: Stop after this many prompts.
        images: False leaves images out and keeps their names in `image_names`: for checks of text
            alone.
        called: Name of the source in ids and metadata, so that two folders that one source reads
            can be told apart; `name` when empty.

    Raises:
        ConfigError: Unknown source or split, a test set without `allow_test`, a limit below 1.
        DataError: The folder does not have the source's shape (at the call), or no row is of this
            split (at the end).
    """
    spec = describe_source(name)
    folder = Path(folder)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    if spec.tier == "unknown":
        raise ConfigError(f"{spec.name}: {spec.about.strip()}")
    asked = _checked_split(spec, split, allow_test=allow_test)
    layout, files = _find_files(spec, folder)
    if asked not in layout.splits:
        raise ConfigError(
            f"{spec.name} ({layout.title}): there is no split {asked!r}; there are"
            f" {', '.join(layout.splits)}"
        )
    mine = [file for file in files if file.split in (asked, "*")]
    if not mine:
        here = ", ".join(sorted({file.split for file in files}))
        raise DataError(
            f"{folder}: no files of the split {asked!r} of {spec.title}; expected"
            f" {_patterns(layout, asked)}; here: {here}"
        )
    return _read(Builder(spec, layout, folder, images, called), mine, asked, limit)


def _checked_split(spec: SourceSpec, split: str, *, allow_test: bool) -> str:
    """Return the split to read; raise if it is a test split and `allow_test` is False."""
    if spec.test_only:
        if not allow_test:
            raise ConfigError(
                f"{spec.title} is published for testing alone; training on it makes its scores"
                " worthless. allow_test=True reads it all the same"
            )
        return spec.splits[0] if split == "train" and "train" not in spec.splits else split
    if split.startswith("test") and not allow_test:
        raise ConfigError(f"{spec.name}: {split!r} is a test split; allow_test=True reads it")
    return split


def _read(
    builder: Builder, files: list[_File], split: str, limit: int | None
) -> Iterator[Prompt | BadRow]:
    name, layout = builder.name, builder.layout
    seen: set[bytes] = set()
    others: set[str] = set()
    made = rows = 0
    for file in files:
        for number, item in enumerate(_items(file, builder), start=1):
            if item.values is None:
                rows += 1
                yield BadRow(name, item.where, _legible(item.problem))
                continue
            for where, row in _entries(
                item, layout, {"_row": number, "_file": file.shown, "_dir": _dir(file.shown)}
            ):
                own = _row_split(row, layout) if file.split == "*" else file.split
                if own != split:
                    others.add(own)
                    continue
                rows += 1
                made_one = _prompt_or_bad(builder, row | {"_split": own}, where, own, seen)
                yield made_one
                made += isinstance(made_one, Prompt)
                if made == limit:
                    return
    if not rows:
        found = (
            f"its rows are of {', '.join(sorted(others))}" if others else "its files hold no rows"
        )
        raise DataError(
            f"{builder.folder}: no row of {builder.spec.title} is of the split {split!r}; {found}"
        )


def _items(file: _File, builder: Builder) -> Iterator[StoredRow]:
    reader = READERS.get(builder.layout.format)
    if file.problem:
        yield StoredRow(file.shown, problem=file.problem)
        return
    try:
        if reader is not None:
            yield from reader(file.path, builder.folder, file.shown)
        else:
            yield from read_rows(file.path, shown=file.shown, rows_at=builder.layout.rows)
    except DataError as error:
        yield StoredRow(file.shown, problem=str(error).removeprefix(f"{file.shown}: "))
    except OSError as error:
        yield StoredRow(file.shown, problem=f"cannot be read any further: {error}")


def _prompt_or_bad(
    builder: Builder, row: dict[str, Any], where: str, split: str, seen: set[bytes]
) -> Prompt | BadRow:
    try:
        prompt = builder.prompt(row, split=split)
    except DataError as error:
        return BadRow(builder.name, where, _legible(str(error)))
    # Digests, not texts: a set of millions has to fit.
    identity, content = _short(prompt.id.encode()), _content(prompt)
    if identity in seen and content not in seen:
        # Two files that each count from 0 have different rows of one id.
        prompt = dataclasses.replace(prompt, id=f"{prompt.id}@{row['_file']}#{row['_row']}")
        identity = _short(prompt.id.encode())
    if identity in seen:
        native = prompt.metadata["native_id"]
        return BadRow(builder.name, where, f"the id {native!r} was already used, by the same row")
    seen |= {identity, content}
    return prompt


def _legible(text: str) -> str:
    """Return a reason on one line that every file can hold, whatever a stranger's row put in it."""
    line = " ".join(text.split())
    line = line if len(line) <= _MAX_REASON else line[: _MAX_REASON - 3] + "..."
    return line.encode("utf-8", "backslashreplace").decode()


def _short(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _content(prompt: Prompt) -> bytes:
    """Return a digest of a prompt's id and content, by which a row that repeats it is known."""
    images = [ref.path if ref.data is None else _short(ref.data) for ref in prompt.images]
    parts = (prompt.id, prompt.question, prompt.answer, prompt.choices, images)
    return _short(repr(parts).encode())


def _entries(
    item: StoredRow, layout: Layout, facts: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the row itself, or one row for each entry of its list."""
    row = dict(item.values or {}) | facts
    if not layout.each:
        yield item.where, row
        return
    inner = column_value(row, layout.each)
    if isinstance(inner, dict):
        pairs: list[tuple[Any, Any]] = list(inner.items())
    elif isinstance(inner, list):
        pairs = list(enumerate(inner))
    else:
        # Without the list the row has no question, and says so.
        pairs = [(0, {})]
    for key, entry in pairs:
        own = entry if isinstance(entry, dict) else {"_value": entry}
        native = f"{facts['_row']}.{key + 1}" if isinstance(key, int) else f"{facts['_row']}.{key}"
        yield (
            f"{item.where}, entry {str(key)[:40]!r}",
            row | {"_outer": row, "_key": key} | own | {"_row": native},
        )


def _row_split(row: Mapping[str, Any], layout: Layout) -> str:
    """Return the split that a row states; a value unknown to the layout is returned as it is."""
    if layout.split_ranges:
        digits = re.search(
            r"(\d+)\D*$", str(column_value(row, layout.fields.id[0]) if layout.fields.id else "")
        )
        number = int(digits.group(1)[:12]) if digits else -1
        return next(
            (split for split, (low, high) in layout.split_ranges.items() if low <= number <= high),
            "none",
        )
    value = column_value(row, layout.split_field)
    return next(
        (split for split, values in layout.split_values.items() if value in values), str(value)[:40]
    )


def _find_files(spec: SourceSpec, folder: Path) -> tuple[Layout, list[_File]]:
    """Return the data set's first layout whose files the folder holds, and those files.

    Raises:
        DataError: The folder is missing or has none; what was expected and what is there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; {spec.title} was expected in it")
    root = folder.resolve()
    for layout in spec.layouts:
        found: dict[str, _File] = {}
        for split, patterns in layout.files.items():
            for path in sorted(
                itertools.chain.from_iterable(folder.glob(pattern) for pattern in patterns)
            ):
                shown = _name_of(path, folder)
                problem = _unusable(path, root)
                if problem != _FOLDER:
                    found.setdefault(shown, _File(split, path, shown, problem))
        if any(not file.problem for file in found.values()):
            return layout, list(found.values())
    raise DataError(_wrong_shape(spec, folder))


def _name_of(path: Path, folder: Path) -> str:
    """Return a file's name below the folder, with bytes that are no UTF-8 written out."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _unusable(path: Path, root: Path) -> str:
    """Why a file is not read; empty for a regular file in the folder `root`."""
    try:
        # A link may lead anywhere, or round in a circle.
        inside = path.resolve().is_relative_to(root)
        if path.is_dir():
            return _FOLDER
        if not path.exists():
            return "it is a link that leads nowhere"
        if not inside:
            return "it is a link that leaves the folder"
        return "" if path.is_file() else "it is not a regular file"
    except (OSError, RuntimeError) as error:
        return f"it cannot be reached: {error}"


def _wrong_shape(spec: SourceSpec, folder: Path) -> str:
    names = sorted(
        _name_of(entry, folder) + ("/" if entry.is_dir() else "") for entry in folder.iterdir()
    )
    listed = ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    expected = "; or ".join(f"{layout.title}: {_patterns(layout)}" for layout in spec.layouts)
    advice = ""
    if any(path.suffix.lower() in (".pk", ".pkl", ".pickle") for path in folder.rglob("*")):
        advice = " A pickle runs code when it is loaded, so it is not read. " + spec.pickles
    elif any(name.lower().endswith(_PACKED) for name in names):
        advice = " Archives and packed files other than .gz are not read: unpack them first."
    return (
        f"{folder}: not the shape of {spec.title}. Expected {expected}. Found:"
        f" {listed or 'nothing'}.{advice}".rstrip()
    )


def _patterns(layout: Layout, split: str | None = None) -> str:
    wanted = [
        pattern
        for name, patterns in layout.files.items()
        if split in (None, name) or name == "*"
        for pattern in patterns
    ]
    return ", ".join(dict.fromkeys(wanted))


def _dir(shown: str) -> str:
    return shown.rpartition("/")[0] or "."
