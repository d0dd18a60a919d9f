"""Laws that the paper's released code breaks and that no other test of ours states; docs/method.md
lists all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.records import GroupOutcome
from vasari.sample import make_sampler


def scored(index: int, purpose: str = "refresh") -> GroupOutcome:
    verdicts = np.array([float(index % 2), 1.0, 0.0])
    return GroupOutcome(
        index=index,
        rewards=verdicts,
        verdicts=verdicts,
        token_ids=[[index, n] for n in range(3)],
        purpose=purpose,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 30), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_a_refresh_leaves_the_uniform_pass_where_it_was(pool, batch, every, seed):
    sampler = make_sampler("vas", num_prompts=pool, seed=seed, mix_ratio=0.0, refresh_every=every)
    drawn: list[int] = []
    for step in range(3 * pool):
        sampler.observe([scored(int(index)) for index in sampler.due(step)])
        drawn += sampler.draw(batch).indices.tolist()
    for start in range(0, len(drawn) - pool, pool):
        assert sorted(drawn[start : start + pool]) == list(range(pool))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32))
def test_a_refresh_names_every_prompt_exactly_once(pool, seed):
    sampler = make_sampler("vas", num_prompts=pool, seed=seed)
    assert sorted(sampler.due(0).tolist()) == list(range(pool))
