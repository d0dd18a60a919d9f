"""Reads the benchmarks of a recipe into one index that training prompts are compared with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.match.decontaminate import BenchmarkEntry, BenchmarkIndex, LeakSettings
from vasari.curate.match.image_index import index_images
from vasari.curate.run.reading import data_path, entry_source
from vasari.data.sources import BadRow, read_source
from vasari.data.sources.spec import describe_source


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """The benchmark prompts that are kept out of the training sets."""

    index: BenchmarkIndex
    counts: dict[str, int]
    """Prompts as `benchmark_NAME`; those whose images are not here, so that texts alone are
    compared, as `..._text_only`; rows that could not be read at all, so that nothing is compared
    with them, as `..._unread`."""


def located(settings: LeakSettings, base: Path) -> LeakSettings:
    """The settings with full paths.

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


def read_benchmarks(settings: LeakSettings) -> Benchmarks:
    """The benchmarks of a recipe, read and hashed.

    Raises:
        ConfigError: An unknown source or split.
        DataError: A folder does not have the source's shape, or a benchmark has no row that can be
            read.
    """
    prompts: list[Prompt] = []
    counts: Counter[str] = Counter()
    for entry in settings.benchmarks:
        own, unread = _rows(entry, images=entry.images)
        label = describe_source(entry.source).name
        if unread and entry.images:
            # An image that is missing takes its question along; without images it can still be
            # compared.
            seen = {prompt.id for prompt in own}
            texts, unread = _rows(entry, images=False)
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


def _rows(entry: BenchmarkEntry, *, images: bool) -> tuple[list[Prompt], int]:
    """The prompts of a benchmark, and the number of rows that hold none."""
    rows = list(
        read_source(
            entry.source,
            Path(entry.folder),
            split=entry.split,
            allow_test=True,
            limit=entry.limit,
            images=images,
        )
    )
    return [row for row in rows if not isinstance(row, BadRow)], sum(
        isinstance(row, BadRow) for row in rows
    )
