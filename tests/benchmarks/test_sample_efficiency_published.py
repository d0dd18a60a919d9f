"""The published sampler draws what it drew at commit b600954, recorded with that commit's code."""

import json
from pathlib import Path

import numpy as np
import pytest

from sample_efficiency.published import PublishedProgress
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, check_prompt_sampler

DRAWS = json.loads((Path(__file__).parent / "published_draws.json").read_text())


def features(num):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(num, 5))
    return PoolFeatures(
        categories=rng.integers(0, 3, num),
        category_names=("a", "b", "c"),
        values=(values - values.mean(0)) / values.std(0),
    )


def group(index, batch):
    rng = np.random.default_rng([batch, index])
    rate = np.clip((index % 11) / 10 + 0.01 * batch, 0, 1)
    verdicts = (rng.random(8) < rate).astype(float)
    verdicts[rng.random(8) < 0.02] = np.nan
    rewards = np.nan_to_num(verdicts)
    confidence = -rng.random(8) - 0.5 * (1 - rewards) * (index % 3 > 0)
    said = np.where(rewards > 0, 1, rng.integers(0, 4, 8))
    return GroupOutcome(
        index=int(index),
        rewards=rewards,
        verdicts=verdicts,
        confidence=confidence,
        answers=tuple(str(int(a)) if a < 3 else None for a in said),
        token_ids=[list(range(n)) for n in rng.integers(10, 50, 8)],
    )


@pytest.mark.parametrize("known", ["features", "none"])
def test_it_draws_the_batches_of_its_commit(known):
    sampler = PublishedProgress(
        num_prompts=60, seed=3, features=features(60) if known == "features" else None
    )
    for batch, expected in enumerate(DRAWS[known]):
        sampler.due(batch)
        indices = sampler.draw(8).indices.tolist()
        assert indices == expected
        sampler.observe([group(index, batch) for index in indices])


def test_it_keeps_the_contract_of_samplers():
    check_prompt_sampler(PublishedProgress)
