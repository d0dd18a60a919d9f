"""Prompt pools of the benchmark: which skills they teach, how large they are, what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sample_efficiency.graded import WRONG_LABEL, shaped_draw
from sample_efficiency.skills import Skills
from vasari.core.errors import ConfigError
from vasari.records import Prompt

_HELD_OUT_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKind:
    """What the prompts of a pool have in common, and how many there are."""

    skills: Skills
    """Whether the cold start masters the forms of questions unequally ("many"), or all prompts
    teach one habit ("one")."""
    passes: int | None = None
    """How often uniform sampling passes the pool within the budget; None: as many prompts as the
    recipe says."""
    wrong_labels: float = 0.0
    """Share of prompts with a wrong reference answer."""
    features: bool = True
    """Whether samplers are given the prompts' wording and categories."""


POOLS: Mapping[str, PoolKind] = {
    "heterogeneous": PoolKind(skills="many", wrong_labels=0.1),
    "no_features": PoolKind(skills="many", wrong_labels=0.1, features=False),
    "one_skill_once": PoolKind(skills="one", passes=1),
    "one_skill_four": PoolKind(skills="one", passes=4),
    "right_labels": PoolKind(skills="many"),
    "more_wrong_labels": PoolKind(skills="many", wrong_labels=0.3),
}
"""Every pool by name; the last two are exploratory: `heterogeneous` with other shares of noise."""


def pool_size(kind: PoolKind, *, from_recipe: int, num_groups: int) -> int:
    """Return the number of prompts of a pool; `num_groups` is what the budget pays for.

    Raises:
        ConfigError: The groups are too few for so many passes.
    """
    size = from_recipe if kind.passes is None else num_groups // kind.passes
    if size < 1:
        raise ConfigError(f"a budget of {num_groups} groups has no {kind.passes} passes of a pool")
    return size


def training_pool(
    stock: Sequence[Prompt], kind: PoolKind, num_prompts: int, *, seed: int
) -> list[Prompt]:
    """Draw the prompts of a training pool from the graded stock; each seed draws others."""
    rng = np.random.default_rng([seed, 0])
    if kind.skills == "one":
        return _random_draw(stock, num_prompts, rng)
    num_wrong = round(kind.wrong_labels * num_prompts)
    parts = [(None, num_prompts - num_wrong), (WRONG_LABEL, num_wrong)]
    return [
        prompt
        for imperfection, num in parts
        for prompt in shaped_draw(
            [p for p in stock if p.metadata.get("imperfection") == imperfection], num, rng
        )
    ]


def held_out_prompts(stock: Sequence[Prompt], skills: Skills, num: int) -> list[Prompt]:
    """Draw the clean prompts that measure accuracy, the same ones for all runs of a cold start."""
    rng = np.random.default_rng(_HELD_OUT_SEED)
    return shaped_draw(stock, num, rng) if skills == "many" else _random_draw(stock, num, rng)


def _random_draw(stock: Sequence[Prompt], num: int, rng: np.random.Generator) -> list[Prompt]:
    if len(stock) < num:
        raise ConfigError(
            f"the stock has {len(stock)} prompts of which {num} are wanted; raise --stock"
        )
    return [stock[place] for place in sorted(rng.permutation(len(stock))[:num].tolist())]
