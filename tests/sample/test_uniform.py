import numpy as np
import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.records import GroupOutcome
from vasari.sample import make_sampler


def test_passes_differ_in_order():
    sampler = make_sampler("uniform", num_prompts=50, seed=0)
    first, second = sampler.draw(50).indices.tolist(), sampler.draw(50).indices.tolist()
    assert first != second
    assert sorted(first) == sorted(second) == list(range(50))


def test_a_batch_over_the_end_of_a_pass_holds_no_prompt_twice():
    sampler = make_sampler("uniform", num_prompts=10, seed=1)
    batches = [sampler.draw(7).indices for _ in range(10)]
    assert all(len(np.unique(batch)) == 7 for batch in batches)
    assert np.bincount(np.concatenate(batches)).tolist() == [7] * 10


def test_seeds_differ():
    one, other = (
        make_sampler("uniform", num_prompts=100, seed=seed).draw(20).indices for seed in (0, 1)
    )
    assert one.tolist() != other.tolist()


def test_roles_are_uniform_and_nothing_is_due():
    sampler = make_sampler("uniform", num_prompts=4, seed=0)
    assert sampler.draw(3).roles == ("uniform",) * 3
    assert sampler.due(0).tolist() == []
    assert sampler.num_rollouts_due == 0


def test_completed_passes_are_counted():
    sampler = make_sampler("uniform", num_prompts=4, seed=0)
    counts = []
    for _ in range(4):
        sampler.draw(2)
        counts.append(sampler.metrics()["sampler/passes"])
    assert counts == [0, 1, 1, 2]


@pytest.mark.parametrize("num_prompts", [0, -3])
def test_an_empty_batch_is_refused(num_prompts):
    with pytest.raises(ConfigError, match="at least 1 prompt"):
        make_sampler("uniform", num_prompts=4, seed=0).draw(num_prompts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_prompts": 0, "seed": 0}, "num_prompts must be a whole number of at least 1, got 0"),
        ({"num_prompts": 4.0, "seed": 0}, "num_prompts must be a whole number"),
        ({"num_prompts": 4, "seed": -1}, "seed must be a whole number of at least 0"),
        ({"num_prompts": 4, "seed": None}, "seed must be a whole number"),
    ],
)
def test_impossible_pools_and_seeds_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_sampler("uniform", **settings)


@pytest.mark.parametrize("index", [-1, 4])
def test_groups_of_prompts_outside_the_pool_are_refused(index):
    sampler = make_sampler("uniform", num_prompts=4, seed=0)
    with pytest.raises(DataError, match="the pool has prompts 0 to 3"):
        sampler.observe([GroupOutcome(index=index, rewards=np.ones(2), verdicts=np.ones(2))])


def test_a_large_batch_of_a_large_pool_holds_no_prompt_twice():
    sampler = make_sampler("uniform", num_prompts=1_000_000, seed=0)
    assert len(np.unique(sampler.draw(300_000).indices)) == 300_000
