"""Reads the sources and the benchmarks of a recipe."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, DataError, ImageError
from vasari.core.files import write_bytes
from vasari.core.records import ImageRef, Prompt
from vasari.curate.match.decontaminate import BenchmarkEntry, BenchmarkIndex, LeakSettings
from vasari.curate.match.image_hash import index_images
from vasari.curate.recipe import CurationRecipe, SourceEntry
from vasari.curate.run.rows import read_table
from vasari.curate.run.shards import StageFolder
from vasari.curate.stage import Dropped
from vasari.data.images import read_image_bytes
from vasari.data.sources import BadRow, read_source
from vasari.data.sources.spec import describe_source
from vasari.data.tasks.pool import make_pool

IMAGES = "images"
"""Folder of the run that holds images by the hash of their bytes."""

_OF_SECRETS = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?(?:_|$)", re.I)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SUFFIXES = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"RIFF", "webp"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
)


def data_path(text: str, base: Path) -> Path:
    """Resolve a recipe's path against the recipe's folder, with environment variables filled in.

    Raises:
        ConfigError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        if _OF_SECRETS.search(match.group(1)):
            raise ConfigError(
                f"{text!r}: {match.group(1)} is called like a secret, and paths go into files and"
                " messages; name a variable that holds a folder"
            )
        found = os.environ.get(match.group(1))
        if not found:
            raise ConfigError(
                f"{text!r}: the environment variable {match.group(1)} is not set; set it to the"
                " folder of the data"
            )
        return found

    return base / _VARIABLE.sub(value, text)


def data_folders(recipe: CurationRecipe, base: Path) -> list[Path]:
    """Absolute paths of the folders of a recipe's sources and benchmarks."""
    leaks = recipe.decontaminate.benchmarks if recipe.decontaminate is not None else []
    folders = [entry.folder for entry in recipe.sources if entry.folder is not None]
    folders += [entry.folder for entry in leaks]
    # Not resolved: a link that is missing on another machine is what is looked for.
    return [data_path(folder, base).absolute() for folder in folders]


def entry_source(entry: SourceEntry | BenchmarkEntry, base: Path) -> str:
    """Name of a recipe entry's data source, or the absolute path of its YAML description."""
    name = str(entry.source)
    return str(data_path(name, base).absolute()) if name.endswith((".yaml", ".yml")) else name


def folder_state(folder: Path) -> str:
    """Digest of paths, sizes and modification times of a folder's files; "" without a folder.

    128 bits in hex. A file that was rewritten with the same content changes it: what is read again
    then has the same hash, and nothing after it is done again.
    """
    digest = hashlib.blake2b(digest_size=16)
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118  (millions of files: Path is slow)
            try:
                facts = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            digest.update(
                f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest() if folder.is_dir() else ""


def source_state(
    entry: SourceEntry | BenchmarkEntry, base: Path, *, seed: int = 0
) -> dict[str, Any]:
    """What a data source's prompts depend on: settings, description, and digest of its files."""
    state: dict[str, Any] = entry.model_dump(mode="json")
    if entry.source is None:
        return state | {"seed": seed}
    spec = describe_source(entry_source(entry, base)).model_dump_json()
    state["description"] = hashlib.blake2b(spec.encode(), digest_size=16).hexdigest()
    return state | {"files": folder_state(data_path(str(entry.folder), base))}


def entry_rows(entry: SourceEntry, base: Path, seed: int) -> Iterator[Prompt | BadRow]:
    """Yield the prompts of one source entry, and the rows that could not be read as prompts.

    Raises:
        ConfigError: An unknown source or split, or a test set without `allow_test`.
        DataError: The folder does not have the source's shape.
    """
    facts: dict[str, Any] = {}
    own = {"source": entry.label} | ({"domain": entry.domain} if entry.domain else {})
    rows: Iterable[Prompt | BadRow]
    if entry.tasks is not None:
        made = make_pool(entry.tasks, split="train", seed=seed, stream="curate")
        rows = [_named(prompt, entry.name) for prompt in made[: entry.limit]]
        facts = {
            "domain": "any",
            "licence": "Apache-2.0 (generated)",
            "split": "train",
            "tier": "generated",
        }
    else:
        rows = read_source(
            entry_source(entry, base),
            data_path(str(entry.folder), base),
            split=entry.split,
            allow_test=entry.allow_test,
            limit=entry.limit,
            called=entry.label,
        )
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        else:
            yield dataclasses.replace(row, metadata={**facts, **row.metadata, **own})


def _named(prompt: Prompt, source: str | None) -> Prompt:
    """Return a generated prompt with its source's name, if it was given one, in the id."""
    return prompt if source is None else dataclasses.replace(prompt, id=f"{source}/{prompt.id}")


def read_entries(
    folder: StageFolder,
    entries: Sequence[SourceEntry],
    base: Path,
    *,
    seed: int,
    root: Path,
    shard_rows: int,
) -> int:
    """Read the prompts of a recipe's sources into shards on disk; return the number of shards.

    Shards that exist are not written again.
    """
    shard = _Shard()
    number = 0
    for entry in entries:
        for row in entry_rows(entry, base, seed):
            shard.take(entry.label, row, root)
            if shard.given.total() == shard_rows:
                shard.write(folder, number, root)
                shard, number = _Shard(), number + 1
    if shard.given or not number:
        shard.write(folder, number, root)
        number += 1
    return number


def images_are_lost(folder: StageFolder, root: Path) -> bool:
    """Whether images that were saved in the run's folder when the sources were read are gone."""
    for part in folder.parts:
        column = read_table(part, ("images.list.element.path",)).column("images").combine_chunks()
        for name in column.flatten().field("path").unique().to_pylist():
            if name.startswith(f"{IMAGES}/") and not _is_filled(os.path.join(root, name)):  # noqa: PTH118
                return True
    return False


def _is_filled(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116  (a million times)
    except OSError:
        return False


@dataclasses.dataclass
class _Shard:
    """Rows of one shard that wait to be written."""

    given: Counter[str] = dataclasses.field(default_factory=Counter)
    kept: list[Prompt] = dataclasses.field(default_factory=list)
    dropped: list[tuple[str, Dropped]] = dataclasses.field(default_factory=list)

    def take(self, source: str, row: Prompt | BadRow, root: Path) -> None:
        """Keep a row, with its images as files, or drop it."""
        self.given[source] += 1
        if isinstance(row, BadRow):
            self._drop(source, row.where, "unreadable_row", row.reason)
            return
        try:
            images = tuple(_kept_image(ref, row.id, root) for ref in row.images)
        except ImageError as error:
            self._drop(source, row.id, "image_unreadable", str(error))
            return
        self.kept.append(dataclasses.replace(row, images=images))

    def write(self, folder: StageFolder, number: int, root: Path) -> None:
        """Write the rows as shard `number`, unless an earlier run has written that shard."""
        if not folder.has(number):
            folder.write(
                number,
                given=self.given,
                kept=self.kept,
                facts={},
                dropped=self.dropped,
                notes={},
                root=root,
            )

    def _drop(self, source: str, id_: str, reason: str, detail: str) -> None:
        index = self.given.total() - 1
        self.dropped.append((source, Dropped(index=index, id=id_, reason=reason, detail=detail)))


def _kept_image(ref: ImageRef, prompt_id: str, root: Path) -> ImageRef:
    """Replace an image by the path of a file; bytes are saved in the run's folder by their hash."""
    if ref.data is None:
        return ImageRef(path=os.path.abspath(str(ref.path)))  # noqa: PTH100  (a million times)
    data = read_image_bytes(ref, where=f"prompt {prompt_id!r}")
    digest = hashlib.sha256(data).hexdigest()
    suffix = next((name for magic, name in _SUFFIXES if data.startswith(magic)), "img")
    path = root / IMAGES / digest[:2] / f"{digest}.{suffix}"
    if not _is_filled(str(path)):
        write_bytes(path, data)
    return ImageRef(path=str(path))


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """Index of benchmark prompts to keep out of the training sets, and counts of these prompts."""

    index: BenchmarkIndex
    counts: dict[str, int]
    """Prompts as `benchmark_NAME`; those whose images are not here, so that texts alone are
    compared, as `..._text_only`; rows that could not be read at all, so that nothing is compared
    with them, as `..._unread`."""


def located(settings: LeakSettings, base: Path) -> LeakSettings:
    """Return the decontamination settings with absolute paths of benchmarks.

    A worker process may have another working folder, and not this one's environment.
    """
    entries = [
        entry.model_copy(
            update={
                "source": entry_source(entry, base),
                "folder": str(data_path(entry.folder, base).absolute()),
            }
        )
        for entry in settings.benchmarks
    ]
    return settings.model_copy(update={"benchmarks": entries})


def benchmark_labels(settings: LeakSettings) -> list[str]:
    """Names of the benchmarks in reports and in the ids of their prompts, no two of them equal."""
    own = [entry.name or describe_source(entry.source).name for entry in settings.benchmarks]
    labels: list[str] = []
    for name, entry in zip(own, settings.benchmarks, strict=True):
        folder = Path(entry.folder).name
        others = itertools.count(2)
        label = name if own.count(name) == 1 else f"{name} ({folder})"
        while label in labels:
            label = f"{name} ({folder}, {next(others)})"
        labels.append(label)
    return labels


def read_benchmarks(settings: LeakSettings) -> Benchmarks:
    """Read the benchmarks' prompts, and index their texts and image hashes.

    Raises:
        ConfigError: An unknown source or split.
        DataError: A folder does not have the source's shape, or a benchmark has no row that can be
            read.
    """
    prompts: list[Prompt] = []
    counts: Counter[str] = Counter()
    for entry, label in zip(settings.benchmarks, benchmark_labels(settings), strict=True):
        own, unread = _rows(entry, label, images=entry.images)
        if unread and entry.images:
            # An image that is missing takes its question along; without images it can still be
            # compared.
            seen = {prompt.id for prompt in own}
            texts, unread = _rows(entry, label, images=False)
            more = [prompt for prompt in texts if prompt.id not in seen]
            counts[f"benchmark_{label}_text_only"] += len(more)
            own += more
        if not own:
            raise DataError(
                f"{entry.folder}: no row of the benchmark {label} could be read, so nothing would"
                " be kept out"
            )
        counts[f"benchmark_{label}"] += len(own)
        counts[f"benchmark_{label}_unread"] += unread
        prompts += own
    index = BenchmarkIndex(prompts, index_images(prompts, crops=True), settings)
    return Benchmarks(index=index, counts={name: count for name, count in counts.items() if count})


def _rows(entry: BenchmarkEntry, label: str, *, images: bool) -> tuple[list[Prompt], int]:
    """The prompts of a benchmark, and the number of rows that could not be read."""
    rows = list(
        read_source(
            entry.source,
            Path(entry.folder),
            split=entry.split,
            allow_test=True,
            limit=entry.limit,
            images=images,
            called=label,
        )
    )
    return [row for row in rows if not isinstance(row, BadRow)], sum(
        isinstance(row, BadRow) for row in rows
    )
