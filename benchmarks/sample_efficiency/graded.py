"""A stock of prompts graded by a cold start, and draws of realistic pass rates from it.

Which prompts are hard is measured, not guessed: the model that cells start from rolls every prompt
of the stock out ten times, verified against the true answer even where the label is wrong, and a
pool of many skills takes as many prompts of each pass rate as real models have among DynaMath's
questions (`vasari.data.tasks.difficulty`). These rollouts belong to no arm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample_efficiency.skills import UNTAUGHT, Skills, is_short
from sample_efficiency.study import required
from vasari.core.errors import ConfigError
from vasari.core.progress import Tell, silent, stage
from vasari.data.prompt_file import write_prompts
from vasari.data.tasks.difficulty import DYNAMATH_COUNTS
from vasari.data.tasks.pool import Split, make_pool
from vasari.model.base import Decoding
from vasari.records import Prompt
from vasari.run.recipe import Recipe, TaskPrompts

GRADE = "solved_of_ten"
"""`metadata` of a graded prompt: how many of ten rollouts of the cold start reach the true
answer."""

NUM_ROLLOUTS = len(DYNAMATH_COUNTS) - 1

UNTAUGHT_SHARE = 0.2
"""Of a stock of many skills; the other prompts come from the families of the recipe."""

WRONG_LABEL = "wrong_label"
"""`imperfection` of a prompt whose reference answer is wrong."""

WRONG_SHARE = 0.125
"""Of a training stock of many skills: enough to choose from."""

_SEEDS = {"train": 11, "validation": 12, "test": 13}


def ungraded_stock(
    tasks: TaskPrompts, split: Split, num_prompts: int, *, skills: Skills, number: int, pilot: bool
) -> list[Prompt]:
    """Make the prompts to be graded; each cold start, and pilot and final runs, get others."""
    num_untaught = round(UNTAUGHT_SHARE * num_prompts) if skills == "many" else 0
    num_wrong = round(WRONG_SHARE * num_prompts) if skills == "many" and split == "train" else 0
    plain = dataclasses.replace(
        tasks.pool_of("validation"), num_prompts=num_prompts, shape="none", level_weights={}
    )
    stream = "efficiency_tuning" if pilot else "efficiency"

    def made(
        kind: str, num: int, families: Sequence[str] = plain.families, **shares: float
    ) -> list[Prompt]:
        if not num:
            return []
        # More than is wanted: of most forms only a part is short.
        wanted = dataclasses.replace(plain, families=tuple(families), num_prompts=4 * num, **shares)
        seed = _SEEDS[split] + 100 * number
        pool = make_pool(wanted, split=split, seed=seed, stream=f"{stream}_{kind}")
        return [prompt for prompt in pool if is_short(prompt)][:num]

    return [
        *made("perfect", num_prompts - num_untaught - num_wrong),
        *made(WRONG_LABEL, num_wrong, wrong_label_share=1.0),
        *made("untaught", num_untaught, UNTAUGHT),
    ]


def grade(
    prompts: Sequence[Prompt], policy: Any, decoding: Decoding, *, seed: int, tell: Tell = silent
) -> list[Prompt]:
    """Return the prompts, each with the number of rollouts that solved it."""
    from sample_efficiency.watch import count_correct  # noqa: PLC0415

    truth = [
        dataclasses.replace(prompt, answer=str(prompt.metadata["final"])) for prompt in prompts
    ]
    wanted = decoding.model_copy(update={"num_rollouts": NUM_ROLLOUTS})
    counts = count_correct(policy, truth, wanted, seed=seed, tell=tell)
    return [
        dataclasses.replace(prompt, metadata={**prompt.metadata, GRADE: int(count)})
        for prompt, count in zip(prompts, counts, strict=True)
    ]


def shaped_draw(
    stock: Sequence[Prompt], num_prompts: int, rng: np.random.Generator
) -> list[Prompt]:
    """Draw prompts whose pass rates are distributed like those of DynaMath's questions.

    A pass rate with too few prompts is filled from the nearest one.

    Raises:
        ConfigError: The stock is too small.
    """
    if len(stock) < num_prompts:
        raise ConfigError(
            f"the stock has {len(stock)} prompts of the kind of which {num_prompts} are wanted;"
            " raise --stock"
        )
    order = rng.permutation(len(stock))
    grades = np.array([stock[place].metadata[GRADE] for place in order])
    free = np.ones(len(stock), dtype=bool)
    chosen: list[int] = []
    for target in _targets(num_prompts):
        places = np.flatnonzero(free)
        taken = places[np.argmin(np.abs(grades[places] - target), keepdims=True)]
        free[taken] = False
        chosen += order[taken].tolist()
    return [stock[place] for place in sorted(chosen)]


def _targets(num_prompts: int) -> NDArray[np.int64]:
    """Return the pass rates wanted, in tenths: extremes first, so that the middle may lack some."""
    bounds = np.rint(np.cumsum(DYNAMATH_COUNTS) / sum(DYNAMATH_COUNTS) * num_prompts).astype(int)
    targets = np.repeat(np.arange(NUM_ROLLOUTS + 1), np.diff(bounds, prepend=0))
    return targets[np.argsort(-np.abs(targets - NUM_ROLLOUTS / 2), kind="stable")]


def make_stock(
    folder: Path,
    model: str,
    recipe: Recipe,
    *,
    skills: Skills,
    number: int,
    num_train: int,
    num_held_out: int,
    pilot: bool,
) -> Path:
    """Return the folder of `train.parquet` and `held_out.parquet`, graded now if missing."""
    # Torch takes seconds to import.
    from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

    tasks, grpo = required(recipe)
    wanted: list[tuple[str, Split, int]] = [
        ("train", "train", num_train),
        ("held_out", "validation" if pilot else "test", num_held_out),
    ]
    for name, split, num in wanted:
        path = folder / f"{name}.parquet"
        if path.exists():
            continue
        policy = TransformersPolicy.load(model, system=recipe.model.system)
        with stage(f"grading {num} prompts") as tell:
            prompts = ungraded_stock(tasks, split, num, skills=skills, number=number, pilot=pilot)
            graded = grade(
                prompts, policy, grpo.decoding(NUM_ROLLOUTS), seed=_SEEDS[split], tell=tell
            )
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{path.name}")
        write_prompts(partial, graded)
        partial.replace(path)
    return folder.resolve()
