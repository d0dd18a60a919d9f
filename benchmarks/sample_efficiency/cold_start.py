"""The cold start of all cells: some kinds of questions taught well, others by a faulty teacher.

The small model learns to reason from both, slips included, so its pass rates differ by skill;
`graded` measures them.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np

from sample_efficiency.study import required
from vasari.data.tasks.pool import make_pool
from vasari.records import Prompt
from vasari.run.recipe import Recipe, TaskPrompts

SLIPPED = frozenset(
    {
        "bars: What is C plus C?",
        "dice: What is C minus C?",
        "shapes: How many more C than C shapes are there?",
        "bars: What is C plus C minus C?",
        "dice: What is C plus C minus C?",
        "shapes: How many shapes are not C?",
    }
)
"""Forms of questions whose teacher slips."""

MAX_WORDS = 8
"""Of a worked solution: short rollouts make more of them affordable."""

_COLOUR = re.compile(r"\b(red|blue|green|yellow)\b")
_LEVEL_WEIGHTS = {"1": 3.0, "2": 3.0, "3": 1.0}
_FORMS_EXPECTED = 12
_SEED, _ORDER_SEED = 5, 0
_STREAM = "studyd"
"""Seed and stream of the demonstrations: others make another cold start than the one whose results
are published."""


def form(prompt: Prompt) -> str:
    """Return the prompt's family and its question with colours masked."""
    return f"{prompt.category}: {_COLOUR.sub('C', prompt.question)}"


def is_short(prompt: Prompt) -> bool:
    """Whether the prompt fits the study: no choices, and a worked solution of few words."""
    return prompt.kind != "choice" and len((prompt.solution or "").split()) <= MAX_WORDS


def demonstrations(tasks: TaskPrompts) -> list[Prompt]:
    """Return prompts with worked reasoning in random order, equally many of each question form."""
    wanted = tasks.num_cold_start // _FORMS_EXPECTED
    found: list[Prompt] = []
    taken: Counter[str] = Counter()
    for slip_rate in (0.0, tasks.slip_rate):
        for family in tasks.families:
            settings = dataclasses.replace(
                tasks.pool_of("cold_start"),
                families=(family,),
                num_prompts=9 * wanted,
                shape="none",
                level_weights=_LEVEL_WEIGHTS,
                slip_rate=slip_rate,
            )
            for prompt in make_pool(settings, split="train", seed=_SEED, stream=_STREAM):
                own = form(prompt)
                if is_short(prompt) and (own in SLIPPED) == (slip_rate > 0) and taken[own] < wanted:
                    found.append(prompt)
                    taken[own] += 1
    order = np.random.default_rng(_ORDER_SEED).permutation(len(found))
    return [found[place] for place in order]


def train_cold_start(recipe: Recipe, folder: Path) -> Path:
    """Return the folder of the cold start's weights, training the model if it is missing."""
    from vasari.run.folder import open_run  # noqa: PLC0415  (torch takes seconds to import)
    from vasari.run.training import run_sft  # noqa: PLC0415

    tasks, _ = required(recipe)
    model = folder / "cold_start" / "model"
    if (folder / "stages" / "sft.json").exists():
        return model.resolve()
    alone = recipe.model_copy(update={"grpo": None})
    validation = dataclasses.replace(tasks.pool_of("validation"), num_prompts=100)
    prompts = {
        "cold_start": demonstrations(tasks),
        "validation": make_pool(
            validation, split="validation", seed=_SEED, stream="efficiency_cold"
        ),
    }
    run_sft(alone, open_run(alone, folder), prompts, resume=True)
    return model.resolve()
