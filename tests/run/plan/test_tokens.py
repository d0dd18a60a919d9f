"""Tokens of a pool, measured on all prompts and on a sample of them."""

import dataclasses

import numpy as np
import pytest
from stand_ins import SYSTEM, mixed_pool

from vasari.model.config import load_config
from vasari.model.processor import load_processor
from vasari.model.prompt_tokens import TokenCounter
from vasari.run.plan.tokens import summarise_tokens


@pytest.fixture
def counter(family_folder):
    folder = str(family_folder("qwen2_5_vl"))
    return TokenCounter(load_processor(folder), load_config(folder), system=SYSTEM)


@pytest.fixture(scope="module")
def pool():
    """Sixty prompts without an image, of 1 to 60 words more, and the longest at a random place."""
    plain = mixed_pool(1)[0]
    order = np.random.default_rng(0).permutation(60)
    return [
        dataclasses.replace(plain, id=f"p{n}", question="one " * int(n) + plain.question)
        for n in order
    ]


def test_all_prompts_give_the_mean_itself(counter, pool):
    found = summarise_tokens(counter, pool, size=60, sample=60, seed=0)
    totals = [counter.count(prompt).total for prompt in pool]
    assert found.mean == pytest.approx(np.mean(totals))
    assert (found.margin, found.longest, found.num_encoded) == (0.0, max(totals), 60)
    # The 30th, the 54th and the 60th of 60.
    assert found.quantiles == tuple(sorted(totals)[place] for place in (30, 54, 59))


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_gives_an_interval_around_the_mean(counter, pool, seed):
    found = summarise_tokens(counter, pool, size=60, sample=20, seed=seed)
    totals = np.array([counter.count(prompt).total for prompt in pool])
    assert found.num_encoded == 20
    assert found.margin == pytest.approx(1.96 * totals.std() / np.sqrt(20), rel=0.3)
    assert abs(found.mean - totals.mean()) < 2 * found.margin


def test_the_longest_prompt_is_found_outside_the_sample(counter, pool):
    found = summarise_tokens(counter, pool, size=60, sample=2, seed=0)
    assert found.longest_id == "p59"


def test_a_few_generated_prompts_stand_for_a_larger_split(counter, pool):
    found = summarise_tokens(counter, pool, size=6000, sample=100, seed=0)
    assert (found.num_prompts, found.num_encoded) == (6000, 60)
    assert found.margin > 0


def test_prompts_that_cannot_be_encoded_are_left_out(counter, pool):
    broken = [dataclasses.replace(p, question="<|image_pad|>") for p in pool[:3]]
    assert summarise_tokens(counter, broken, size=3, sample=3, seed=0) is None
    mixed = summarise_tokens(counter, [*broken, *pool[3:6]], size=6, sample=6, seed=0)
    assert mixed.num_encoded == 3
