"""Prompts of a recipe at hand while planning: how many each split has, and some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vasari.core.progress import silent
from vasari.core.records import ImageRef, Prompt
from vasari.data.prompt_file import read_prompts
from vasari.run.prompts import generate, split_files
from vasari.run.recipe import FilePrompts, Recipe

MAX_GENERATED = 100
"""Prompts of a split that are generated for a plan; their number in the run is known anyway."""

_SPLIT_OF = {
    "num_cold_start": "cold_start",
    "num_train": "train",
    "num_validation": "validation",
    "num_test": "test",
    "num_held_out_style": "test_held_out_style",
}
"""Setting of the tasks -> the split whose size it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPrompts:
    """How many prompts each split of a recipe has, and prompts to measure."""

    sizes: Mapping[str, int]
    """Prompts by split; a split of unknown size is not here."""
    prompts: Mapping[str, list[Prompt]]
    """Prompts by split: all that files hold, or some of those that the tasks would generate."""
    notes: list[str] = field(default_factory=list)
    """What is missing, one line each."""
    unknown: Collection[str] = ()
    """Splits that the run will have and whose size is not known."""

    def learnt_from(self, recipe: Recipe) -> str:
        """Return the split that supervised training learns from, which may not be at hand."""
        files = recipe.prompts.files
        has_own = bool(files.cold_start) if files is not None else "cold_start" in self.sizes
        return "cold_start" if has_own else "train"

    @property
    def stored_bytes(self) -> float:
        """Bytes of the images of all prompts, which the run's folder holds too."""
        total = 0.0
        for split, known in self.prompts.items():
            some = known[:MAX_GENERATED]
            size = sum(_num_bytes(ref) for prompt in some for ref in prompt.images)
            total += size / len(some) * self.sizes[split] if some else 0.0
        return total

    def share_with_images(self, split: str) -> float:
        """Return the share of a split's prompts that have images; 1 where none is at hand."""
        known = self.prompts.get(split, ())
        return sum(bool(prompt.images) for prompt in known) / len(known) if known else 1.0


def _num_bytes(ref: ImageRef) -> int:
    return len(ref.data) if ref.data is not None else Path(str(ref.path)).stat().st_size


def planned_prompts(recipe: Recipe, *, folder: Path, assumed: int | None = None) -> PlannedPrompts:
    """Read the prompts of a recipe's files, or generate some of its tasks; writes nothing.

    Args:
        recipe: Whose prompts.
        folder: What the paths in the recipe are relative to.
        assumed: Size of the training pool where its file is not there.

    Raises:
        DataError: A file is there and is not what it must be.
    """
    if recipe.prompts.files is not None:
        return _of_files(recipe.prompts.files, folder, seed=recipe.seed, assumed=assumed)
    tasks = recipe.prompts.tasks
    assert tasks is not None  # noqa: S101  (the recipe's check)
    sizes = {split: getattr(tasks, setting) for setting, split in _SPLIT_OF.items()}
    fewer = {setting: min(sizes[split], MAX_GENERATED) for setting, split in _SPLIT_OF.items()}
    return PlannedPrompts(
        sizes={split: num for split, num in sizes.items() if num},
        prompts=generate(replace(tasks, **fewer), seed=recipe.seed, tell=silent),
    )


def _of_files(
    files: FilePrompts, folder: Path, *, seed: int, assumed: int | None
) -> PlannedPrompts:
    absent = {split: path for split, path in files.named.items() if not (folder / path).exists()}
    notes = [
        f"{path} is not there ({split}): what depends on it is left out"
        for split, path in absent.items()
    ]
    if "train" not in absent:
        splits = split_files(files, seed=seed, folder=folder, absent=absent)
        return PlannedPrompts(
            sizes={name: len(prompts) for name, prompts in splits.items()},
            prompts=splits,
            notes=notes,
            unknown=set(absent),
        )
    prompts = {
        split: read_prompts(folder / path, limit=files.limit)
        for split, path in files.named.items()
        if split not in absent
    }
    sizes = {name: len(found) for name, found in prompts.items()}
    if assumed is not None:
        sizes["train"] = assumed
        notes.append(f"a pool of {assumed:,} prompts is assumed (--prompts)")
    # What no file is named for is held out of the training file.
    held_out = {"validation", "test"} - set(files.named)
    return PlannedPrompts(
        sizes=sizes,
        prompts=prompts,
        notes=notes,
        unknown=(set(absent) | held_out) - set(sizes),
    )
