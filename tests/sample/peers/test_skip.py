import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample import make_sampler
from vasari.sample.peers.skip import SkipSampler, SkipSettings

NAN = math.nan


def rhos(sampler):
    metrics = sampler.metrics()
    return metrics["sampler/skip_rho_easy"], metrics["sampler/skip_rho_hard"]


def group(index, rewards, *, verdicts=None, purpose="train", step=None):
    rewards = np.array(rewards, dtype=np.float64)
    verdicts = rewards if verdicts is None else np.array(verdicts, dtype=np.float64)
    return GroupOutcome(
        index=index, rewards=rewards, verdicts=verdicts, purpose=purpose, batch=step
    )


def sampler_of(num_prompts, *, seed=0, prompt_ids=None, **changes):
    return make_sampler(
        "skip", num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids, **changes
    )


def test_the_chance_to_be_kept_falls_with_each_visit_without_variance():
    sampler = sampler_of(4, step=0.0)
    sampler.observe([group(0, [1, 1]), group(1, [0, 0]), group(2, [1, 0])])
    sampler.observe([group(0, [1, 1]), group(1, [0, 0])])
    sampler.observe([group(0, [1, 1]), group(1, [1, 0])])
    # 0.5^3; the mixed visit sets prompt 1 back.
    assert sampler.keep_chances().tolist() == [0.125, 1, 1, 1]
    for _ in range(10):
        sampler.observe([group(0, [1, 1])])
    # 0.5^13 is below the least chance.
    assert sampler.keep_chances()[0] == 0.01


def test_solved_and_unsolved_prompts_have_rhos_of_their_own():
    sampler = sampler_of(4)
    # Of 4 groups 2 are easy (0.5 > 0.25 / 3) and 1 is hard (0.25 > 0.25 * 2 / 3): both rhos fall to
    # 0.49.
    sampler.observe([group(0, [1, 1]), group(1, [1, 1]), group(2, [0, 0]), group(3, [1, 0])])
    assert rhos(sampler) == pytest.approx((0.49, 0.49))
    # All are easy: rho_easy falls to 0.48, rho_hard rises to 0.50.
    sampler.observe([group(0, [1, 1])])
    assert rhos(sampler) == pytest.approx((0.48, 0.50))
    # z = 2, 1 and 1: 0.48^2, 0.48, 0.50.
    np.testing.assert_allclose(sampler.keep_chances(), [0.2304, 0.48, 0.50, 1])


def test_rhos_rise_while_variance_is_common_and_stay_within_0_and_1():
    sampler = sampler_of(2, start=0.995)
    for _ in range(3):
        sampler.observe([group(0, [1, 0])])
    assert rhos(sampler) == (1.0, 1.0)


def test_refreshes_change_visits_but_no_rho_and_unverifiable_groups_change_nothing():
    sampler = sampler_of(3)
    sampler.observe([group(0, [1, 1], purpose="refresh"), group(1, [NAN, NAN]), group(2, [1, NAN])])
    assert rhos(sampler) == (0.5, 0.5)
    assert sampler.keep_chances().tolist() == [0.5, 1, 1]


def test_variance_is_of_the_rewards_and_solved_of_the_verdicts():
    sampler = sampler_of(3, step=0.0)
    sampler.observe([group(0, [0.9, 0.1], verdicts=[1, 1]), group(1, [0.3, 0.3], verdicts=[1, 1])])
    sampler.observe([group(2, [0.3, 0.3], verdicts=[0, 0])])
    assert sampler.keep_chances().tolist() == [1, 0.5, 0.5]
    sampler = sampler_of(2)
    sampler.observe([group(0, [0.3, 0.3], verdicts=[1, 1])])
    assert rhos(sampler) == pytest.approx((0.49, 0.51))


def test_a_prompt_is_kept_in_the_share_of_passes_that_its_chance_says():
    sampler = sampler_of(3, start=0.49, step=0.0)
    sampler.observe([group(0, [1, 1])])
    kept = sum(sampler.draw(1).indices[0] == 0 for _ in range(1200))
    num_passes = sampler.metrics()["sampler/passes"]
    assert abs(kept - 0.49 * num_passes) < 6 * math.sqrt(0.49 * 0.51 * num_passes) + 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32), st.data())
def test_batches_are_full_even_where_all_is_skipped(pool, seed, data):
    sampler = sampler_of(
        pool, seed=seed, max_rounds=data.draw(st.integers(1, 4)), start=0.0, step=0.0
    )
    sampler.observe(
        [group(index, [1, 1]) for index in range(0, pool, data.draw(st.integers(1, 3)))]
    )
    for size in data.draw(st.lists(st.integers(1, pool), max_size=5)):
        indices = sampler.draw(size).indices
        assert len(set(indices.tolist())) == size


def test_prompts_with_variance_come_before_skipped_ones():
    sampler = sampler_of(10, start=0.0, step=0.0, least_keep=1e-9)
    sampler.observe([group(index, [0, 0]) for index in range(5)])
    assert sorted(sampler.draw(5).indices.tolist()) == [5, 6, 7, 8, 9]
    assert set(sampler.draw(7).indices[:5].tolist()) == {5, 6, 7, 8, 9}


def test_what_is_due_and_learnt_is_the_inner_samplers():
    inner_settings = {
        "refresh": "stale",
        "refresh_every": 2,
        "num_refresh_rollouts": 4,
        "beta": 0.0,
    }
    sampler = sampler_of(6, inner="vas", inner_settings=inner_settings)
    assert (sampler.due(0).tolist(), sampler.num_rollouts_due) == (list(range(6)), 4)
    sampler.observe([group(index, [1, 0], purpose="refresh", step=0) for index in range(6)])
    assert sampler.due(0).tolist() == []
    assert sampler.metrics()["sampler/scored_share"] == 1.0


def test_without_anything_to_skip_batches_are_the_inner_samplers():
    inner = make_sampler("uniform", num_prompts=9, seed=5)
    assert sampler_of(9, seed=5).draw(4).indices.tolist() == inner.draw(4).indices.tolist()


def test_any_sampler_can_be_wrapped_by_hand():
    sampler = SkipSampler(
        SkipSettings(), inner=make_sampler("vas", refresh="online", num_prompts=5, seed=0), seed=1
    )
    assert len(sampler.draw(5)) == 5


def test_a_changed_pool_is_mapped_inside_and_outside():
    old = sampler_of(
        3, prompt_ids="abc", inner="vas", inner_settings={"refresh": "online", "beta": 0.0}
    )
    old.observe([group(0, [1, 1]), group(1, [1, 0])])
    new = sampler_of(
        3, prompt_ids="bda", inner="vas", inner_settings={"refresh": "online", "beta": 0.0}
    )
    new.load_state_dict(
        json.loads(json.dumps(old.state_dict(), default=lambda array: array.tolist())), remap=True
    )
    np.testing.assert_allclose(new.keep_chances(), [1, 1, 0.49])
    # 0.8 * 1/4 for the mixed group, 0 for the unanimous one, between them the new prompt's highest.
    np.testing.assert_allclose(new.inner.scores(), [0.2, new.inner.scores()[1], 0.0])


@pytest.mark.parametrize(
    "path",
    [("own", "visits"), ("own", "rho_easy"), ("inner", "state"), ("inner", "pool"), ("batch",)],
)
def test_a_damaged_state_is_refused_and_changes_nothing(path):
    one, other = sampler_of(8), sampler_of(8)
    for sampler in (one, other):
        sampler.observe([group(0, [1, 1])])
    state = one.state_dict()
    sampler_of(8).load_state_dict(state)
    table = state["state"]
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = "damaged"
    with pytest.raises(StateError, match=r"damaged|saved"):
        one.load_state_dict(state)
    assert one.keep_chances().tolist() == other.keep_chances().tolist()
    assert one.draw(6).indices.tolist() == other.draw(6).indices.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": "nobody"}, r"sampler must be one of .*; got 'nobody'"),
        ({"inner": 3}, "inner must be a text, got 3"),
        ({"inner_settings": {"seed": 1}}, "inner_settings cannot hold seed"),
        ({"inner_settings": [1]}, "inner_settings must be settings by name"),
        (
            {"inner": "vas", "inner_settings": {"preset": "paper"}},
            "cannot wrap 'vas' with replacement",
        ),
        ({"least_keep": 0}, "least_keep must be above 0"),
        ({"start": 2}, "start must be at least 0 and at most 1"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of(4, **changes)
