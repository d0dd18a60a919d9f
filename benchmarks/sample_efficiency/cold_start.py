"""The cold starts: small models that learnt to reason from demonstrations, slips included."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from sample_efficiency.skills import SLIPPED, Skills, form, is_short, slip_rates
from sample_efficiency.study import required
from vasari.data.tasks.pool import make_pool
from vasari.records import Prompt
from vasari.run.recipe import Recipe, TaskPrompts

_LEVEL_WEIGHTS = {"1": 3.0, "2": 3.0, "3": 1.0}
_FORMS_EXPECTED = 12
_SEED = 5
_STREAM = "studyd"


def demonstrations(tasks: TaskPrompts, skills: Skills, number: int) -> list[Prompt]:
    """Return prompts with worked reasoning in random order, equally many of each question form.

    Args:
        tasks: The recipe's prompts.
        skills: What the demonstrations teach.
        number: Of the cold start; each has demonstrations of its own.
    """
    wanted = tasks.num_cold_start // _FORMS_EXPECTED
    found: list[Prompt] = []
    taken: Counter[str] = Counter()
    for slip_rate, slipped in slip_rates(skills, tasks.slip_rate).items():
        for family in tasks.families:
            settings = dataclasses.replace(
                tasks.pool_of("cold_start"),
                families=(family,),
                num_prompts=9 * wanted,
                shape="none",
                level_weights=_LEVEL_WEIGHTS,
                slip_rate=slip_rate,
            )
            for prompt in make_pool(settings, split="train", seed=_SEED + number, stream=_STREAM):
                own = form(prompt)
                fits = slipped is None or (own in SLIPPED) == slipped
                if fits and is_short(prompt) and taken[own] < wanted:
                    found.append(prompt)
                    taken[own] += 1
    order = np.random.default_rng(number).permutation(len(found))
    return [found[place] for place in order]


def train_cold_start(recipe: Recipe, folder: Path, *, skills: Skills, number: int) -> Path:
    """Return the folder of a cold start's weights, training the model if it is missing."""
    from vasari.run.folder import open_run  # noqa: PLC0415  (torch takes seconds to import)
    from vasari.run.training import run_sft  # noqa: PLC0415

    tasks, _ = required(recipe)
    model = folder / "cold_start" / "model"
    if (folder / "stages" / "sft.json").exists():
        return model.resolve()
    alone = recipe.model_copy(update={"grpo": None, "seed": number})
    validation = dataclasses.replace(tasks.pool_of("validation"), num_prompts=100)
    stream = "efficiency_cold"
    prompts = {
        "cold_start": demonstrations(tasks, skills, number),
        "validation": make_pool(validation, split="validation", seed=_SEED, stream=stream),
    }
    run_sft(alone, open_run(alone, folder), prompts, recipe_folder=folder, resume=True)
    return model.resolve()
