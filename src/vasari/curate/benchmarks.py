"""The benchmarks on this machine, as one index that training prompts are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.curate.decontaminate import BenchmarkIndex, LeakSettings
from vasari.curate.image_index import index_images
from vasari.curate.reading import data_path, entry_source, folder_state
from vasari.curate.settings import BenchmarkEntry, LeakRecipe
from vasari.errors import DataError
from vasari.records import Prompt
from vasari.sources import BadRow, read_source
from vasari.sources.spec import find_spec


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """What is kept out of the training sets."""

    index: BenchmarkIndex
    read: dict[str, int]
    """Prompts by benchmark."""
    unread: dict[str, int]
    """Rows that could not be read, by benchmark: nothing is compared with them."""


def benchmark_state(entries: Sequence[BenchmarkEntry], base: Path) -> list[dict[str, Any]]:
    """What decides the benchmarks' prompts: settings, descriptions, files."""
    told = []
    for entry in entries:
        spec = find_spec(entry_source(entry, base)).model_dump_json()
        description = hashlib.blake2b(spec.encode(), digest_size=16).hexdigest()
        folder = folder_state(data_path(entry.folder, base))
        told.append(entry.model_dump(mode="json") | {"description": description, "files": folder})
    return told


def read_benchmarks(recipe: LeakRecipe, base: Path) -> Benchmarks:
    """The benchmarks of a recipe, read and hashed.

    Raises:
        ConfigError: An unknown source or split.
        DataError: A folder does not have the source's shape, or a benchmark has no row that can be read.
    """
    prompts: list[Prompt] = []
    read: dict[str, int] = {}
    unread: dict[str, int] = {}
    for entry in recipe.benchmarks:
        name = entry_source(entry, base)
        folder = data_path(entry.folder, base)
        rows = read_source(name, folder, split=entry.split, allow_test=True, limit=entry.limit, images=entry.images)
        label = find_spec(name).name
        for row in rows:
            if isinstance(row, BadRow):
                unread[label] = unread.get(label, 0) + 1
            else:
                prompts.append(row)
                read[label] = read.get(label, 0) + 1
        if not read.get(label):
            raise DataError(f"{folder}: no row of the benchmark {label} could be read, so nothing would be kept out")
    settings = LeakSettings(
        max_bits=recipe.max_bits,
        min_containment=recipe.min_containment,
        min_words=recipe.min_words,
        paraphrases=recipe.paraphrases,
    )
    index = BenchmarkIndex(prompts, index_images(prompts, crops=True), settings)
    return Benchmarks(index=index, read=read, unread=unread)
