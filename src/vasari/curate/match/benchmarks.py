"""The benchmarks on this machine, as one index that training prompts are compared with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.match.decontaminate import BenchmarkEntry, BenchmarkIndex, LeakSettings
from vasari.curate.match.image_index import index_images
from vasari.curate.run.reading import data_path, entry_source, folder_state
from vasari.data.sources import BadRow, read_source
from vasari.data.sources.spec import find_spec


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """What is kept out of the training sets."""

    index: BenchmarkIndex
    counts: dict[str, int]
    """Prompts as `benchmark_NAME`; those whose images are not here, so that texts alone are
    compared, as `..._text_only`; rows that could not be read at all, so that nothing is compared
    with them, as `..._unread`."""


def benchmark_state(entries: Sequence[BenchmarkEntry], base: Path) -> list[dict[str, Any]]:
    """What decides the benchmarks' prompts: settings, descriptions, files."""
    told = []
    for entry in entries:
        spec = find_spec(entry_source(entry, base)).model_dump_json()
        description = hashlib.blake2b(spec.encode(), digest_size=16).hexdigest()
        folder = folder_state(data_path(entry.folder, base))
        told.append(entry.model_dump(mode="json") | {"description": description, "files": folder})
    return told


def located(settings: LeakSettings, base: Path) -> LeakSettings:
    """The recipe with full paths, for a process with another working folder and without this one's
    environment.
    """
    entries = [
        entry.model_copy(
            update={
                "source": _full_source(entry, base),
                "folder": str(data_path(entry.folder, base).absolute()),
            }
        )
        for entry in settings.benchmarks
    ]
    return settings.model_copy(update={"benchmarks": entries})


def read_benchmarks(settings: LeakSettings, base: Path) -> Benchmarks:
    """The benchmarks of a recipe, read and hashed.

    Raises:
        ConfigError: An unknown source or split.
        DataError: A folder does not have the source's shape, or a benchmark has no row that can be
            read.
    """
    prompts: list[Prompt] = []
    counts: Counter[str] = Counter()
    for entry in settings.benchmarks:
        own, unread = _rows(entry, base, images=entry.images)
        label = find_spec(entry_source(entry, base)).name
        if unread and entry.images:
            # An image that is missing takes its question along; without images it can still be
            # compared.
            seen = {prompt.id for prompt in own}
            texts, unread = _rows(entry, base, images=False)
            more = [prompt for prompt in texts if prompt.id not in seen]
            counts[f"benchmark_{label}_text_only"] += len(more)
            own += more
        if not own:
            folder = data_path(entry.folder, base)
            raise DataError(
                f"{folder}: no row of the benchmark {label} could be read, so nothing would be"
                " kept out"
            )
        counts[f"benchmark_{label}"] += len(own)
        counts[f"benchmark_{label}_unread"] += unread
        prompts += own
    index = BenchmarkIndex(prompts, index_images(prompts, crops=True), settings)
    return Benchmarks(index=index, counts={name: count for name, count in counts.items() if count})


def _full_source(entry: BenchmarkEntry, base: Path) -> str:
    source = entry_source(entry, base)
    return str(Path(source).absolute()) if source.endswith((".yaml", ".yml")) else source


def _rows(entry: BenchmarkEntry, base: Path, *, images: bool) -> tuple[list[Prompt], int]:
    """The prompts of a benchmark, and how many rows became none."""
    folder = data_path(entry.folder, base)
    rows = list(
        read_source(
            entry_source(entry, base),
            folder,
            split=entry.split,
            allow_test=True,
            limit=entry.limit,
            images=images,
        )
    )
    return [row for row in rows if not isinstance(row, BadRow)], sum(
        isinstance(row, BadRow) for row in rows
    )
