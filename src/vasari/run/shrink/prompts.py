"""Few prompts for a shrunk recipe: of its own files where they are there, else generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vasari.core.records import Prompt
from vasari.data.prompt_file import check_images, read_prompts, write_prompts
from vasari.data.tasks.pool import PoolSettings, Split, make_pool
from vasari.run.recipe import FilePrompts

ROWS: Mapping[str, int] = {"cold_start": 16, "train": 16, "validation": 4, "test": 8}
"""Prompts of each split."""

_PICTURES = ("bars", "tables", "shapes")
_SPLITS: Mapping[str, Split] = {
    "cold_start": "train",
    "train": "train",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class SmallPrompts:
    """Prompts by split, and where each split's come from, in words."""

    prompts: Mapping[str, list[Prompt]]
    origins: Mapping[str, str]


def small_prompts(files: FilePrompts, *, folder: Path, seed: int) -> SmallPrompts:
    """Return the first prompts of the files that exist; generated ones for those that do not.

    Args:
        files: The recipe's settings.
        folder: The recipe's, which the paths are relative to.
        seed: Of generated prompts.

    Raises:
        DataError: A file, a prompt or an image is not what it must be; the message names where.
    """
    named = {split: path for split in ROWS if (path := getattr(files, split)) is not None}
    prompts, origins = {}, {}
    for place, (split, path) in enumerate(named.items()):
        if (folder / path).exists():
            prompts[split] = read_prompts(folder / path, limit=ROWS[split])
            check_images(prompts[split])
            origins[split] = f"the first {len(prompts[split])} of {path}"
        else:
            settings = PoolSettings(families=_PICTURES, num_prompts=ROWS[split], image_size=112)
            prompts[split] = make_pool(
                settings, split=_SPLITS[split], seed=seed * 1000 + place, stream=split
            )
            origins[split] = f"{ROWS[split]} generated, since {path} is not there"
    return SmallPrompts(prompts, origins)


def write_small_prompts(found: SmallPrompts, out: Path) -> dict[str, str]:
    """Write each split to a file in `out/data`, and return their paths relative to `out`."""
    paths = {split: f"data/{split}.parquet" for split in found.prompts}
    for split, path in paths.items():
        write_prompts(out / path, found.prompts[split])
    return paths
