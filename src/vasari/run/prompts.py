"""Prompt files of a run: generated as the recipe says, or read from files, checked and split."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.progress import Tell, stage
from vasari.core.records import Prompt
from vasari.data.prompt_file import check_images, read_prompts, write_prompts
from vasari.data.tasks.pool import PoolSettings, Split, check_disjoint, make_pool
from vasari.data.tasks.styles import HELD_OUT_STYLE
from vasari.run.layout import RunDir
from vasari.run.measured import measured
from vasari.run.recipe import FilePrompts, Recipe, TaskPrompts

SPLITS = ("cold_start", "train", "validation", "test", "test_held_out_style")


def prepare_prompts(recipe: Recipe, run: RunDir, *, recipe_folder: Path) -> dict[str, list[Prompt]]:
    """Return the prompts of each split: made and saved by the first call, read by later calls.

    Splits come in the order of `SPLITS` whoever made them.
    """
    if (run.prompts / "train.parquet").exists():
        return {
            split: read_prompts(run.prompts / f"{split}.parquet")
            for split in SPLITS
            if (run.prompts / f"{split}.parquet").exists()
        }
    run.prompts.mkdir(parents=True, exist_ok=True)
    with measured(run, "tasks") as facts, stage("prompts") as tell:
        if recipe.prompts.tasks is not None:
            splits = generate(recipe.prompts.tasks, seed=recipe.seed, tell=tell)
        elif recipe.prompts.files is not None:
            splits = read_files(
                recipe.prompts.files, seed=recipe.seed, folder=recipe_folder, tell=tell
            )
        # `train` last: its file says that all the others are complete.
        for split in sorted(splits, key=lambda name: name == "train"):
            write_prompts(run.prompts / f"{split}.parquet", splits[split])
        facts["num_prompts"] = {name: len(prompts) for name, prompts in splits.items()}
    return {split: splits[split] for split in SPLITS if split in splits}


def generate(tasks: TaskPrompts, *, seed: int, tell: Tell) -> dict[str, list[Prompt]]:
    """Generate the prompts of every split; no training picture is in a validation or test set."""
    held_out = tasks.pool_of("held_out_style", styles=(HELD_OUT_STYLE,))
    wanted: dict[str, tuple[Split, int, PoolSettings]] = {
        "cold_start": ("train", tasks.num_cold_start, tasks.pool_of("cold_start")),
        "train": ("train", tasks.num_train, tasks.pool_of("train")),
        "validation": ("validation", tasks.num_validation, tasks.pool_of("validation")),
        "test": ("test", tasks.num_test, tasks.pool_of("test")),
        "test_held_out_style": ("test", tasks.num_held_out_style, held_out),
    }
    total = sum(count for _, count, _ in wanted.values())
    done = 0
    splits: dict[str, list[Prompt]] = {}
    for place, (name, (split, count, settings)) in enumerate(wanted.items()):
        if count:
            start = done
            splits[name] = make_pool(
                settings,
                split=split,
                seed=seed * 1000 + place,
                stream=name,
                progress=lambda now, _all, start=start: tell(start + now, total),  # type: ignore[misc]
            )
            done += count
    trained_on = splits.get("cold_start", []) + splits["train"]
    check_disjoint(
        train=trained_on,
        validation=splits["validation"],
        test=splits["test"] + splits.get("test_held_out_style", []),
    )
    return splits


def read_files(
    files: FilePrompts, *, seed: int, folder: Path, tell: Tell
) -> dict[str, list[Prompt]]:
    """Read prompts from files and check images; without a validation or test file, split `train`.

    Raises:
        ConfigError: There are too few prompts to hold any out.
        DataError: A file, a prompt or an image is not what it must be; the message names where.
    """
    splits = split_files(files, seed=seed, folder=folder)
    everything = [prompt for prompts in splits.values() for prompt in prompts]
    check_images(everything, progress=tell)
    return splits


def split_files(
    files: FilePrompts, *, seed: int, folder: Path, absent: Collection[str] = ()
) -> dict[str, list[Prompt]]:
    """Return the prompts of files by split, as `read_files` does, without decoding their images.

    The cold start goes without the prompts, by their ids, that are held out of `train`.

    Args:
        files: The recipe's settings.
        seed: Of what is held out.
        folder: What the paths are relative to.
        absent: Splits whose files are not read, and which nothing stands in for; not `train`.

    Raises:
        ConfigError: There are too few prompts to hold any out.
        DataError: A file or a prompt is not what it must be, or an image is none.
    """
    splits = {
        name: read_prompts(folder / path, limit=files.limit)
        for name, path in files.named.items()
        if name not in absent
    }
    missing = [name for name in ("validation", "test") if name not in files.named]
    pool = splits["train"]
    held_out = max(1, round(files.held_out_share * len(pool)))
    if len(pool) <= held_out * len(missing):
        raise ConfigError(
            f"{files.train}: {len(pool)} prompts are too few to hold out {held_out} for each of"
            f" {missing}"
        )
    order = np.random.default_rng(seed).permutation(len(pool))
    for place, name in enumerate(missing):
        splits[name] = [pool[i] for i in order[place * held_out : (place + 1) * held_out]]
    splits["train"] = [pool[i] for i in sorted(order[len(missing) * held_out :])]
    # A curation's two sets have the same prompts: what is tested must not have been taught.
    tested = {prompt.id for name in missing for prompt in splits[name]}
    if "cold_start" in splits:
        taught = [prompt for prompt in splits["cold_start"] if prompt.id not in tested]
        if not taught:
            raise ConfigError(
                f"{files.cold_start}: every prompt of it is held out of {files.train}; give a"
                " larger file, or files for validation and test"
            )
        splits["cold_start"] = taught
    return splits
