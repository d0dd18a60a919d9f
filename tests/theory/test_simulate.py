"""Simulated runs: everything is charged, arms share their luck, and the trap exists."""

import dataclasses
import functools

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.sample import SAMPLER_NAMES, check_prompt_sampler
from vasari.theory.pools import SimulatedPoolSettings, make_simulated_pool, pool_settings
from vasari.theory.simulate import ARMS, Arm, SimulationSettings, arm_of, simulate
from vasari.theory.variance_greedy import VarianceGreedySampler

SHORT = SimulationSettings(prompts_per_batch=8, rollouts_per_prompt=4, budget=640, evaluate_every=2)
SMALL = SimulatedPoolSettings(
    num_prompts=60, num_held_out=40, num_skills=5, num_random=4, num_tokens=4, coin_flip=0.2
)
QUICK_VAS = {"preset": "paper-ablation", "refresh_every": 5, "num_refresh_rollouts": 4, "beta": 0.0}
HELD_OUT_SEEDS = range(100, 104)


@pytest.fixture(scope="module")
def pool():
    return make_simulated_pool(SMALL, seed=0)


def test_uniform_charges_its_batches_and_nothing_else(pool):
    curve = simulate(ARMS["uniform"], pool, SHORT, seed=0)
    assert curve.ledger.rollouts == {"train": 640, "refresh": 0, "screen": 0, "discarded": 0}
    assert curve.steps[-1] == 20
    assert curve.uncharged.total_rollouts == 0


def test_charged_refreshes_use_up_the_budget(pool):
    # Step 0: 60 x 4 = 240 rollouts; five steps of 32 = 160; step 5: 240 more, which fills 640.
    curve = simulate(Arm(name="vas", sampler="vas", settings=QUICK_VAS), pool, SHORT, seed=0)
    assert curve.ledger.rollouts == {"train": 160, "refresh": 480, "screen": 0, "discarded": 0}
    assert curve.steps[-1] == 5


def test_free_refreshes_are_counted_apart(pool):
    arm = Arm(name="free", sampler="vas", settings=QUICK_VAS, charge_refresh=False)
    curve = simulate(arm, pool, SHORT, seed=0)
    assert curve.ledger.rollouts["refresh"] == 0
    # Refreshes before steps 0, 5, 10 and 15.
    assert curve.uncharged.rollouts["refresh"] == 4 * 240
    assert curve.steps[-1] == 20


def test_free_and_charged_refreshes_differ_in_their_x_axis_alone(pool):
    charged = simulate(Arm(name="vas", sampler="vas", settings=QUICK_VAS), pool, SHORT, seed=0)
    free = simulate(
        Arm(name="free", sampler="vas", settings=QUICK_VAS, charge_refresh=False),
        pool,
        SHORT,
        seed=0,
    )
    assert charged.accuracy[charged.steps == 4][0] == free.accuracy[free.steps == 4][0]


def test_groups_that_a_gate_refuses_are_charged_as_discarded(pool):
    curve = simulate(ARMS["mixed"], pool, SHORT, seed=0)
    assert curve.ledger.rollouts["discarded"] > 0
    assert curve.ledger.total_rollouts >= 640
    assert curve.steps[-1] < 20


def test_a_screening_that_is_refused_is_charged_as_a_probe_and_the_others_get_a_whole_group(pool):
    arm = Arm(name="two", gate="two_stage", gate_settings={"num_screening": 2, "num_rollouts": 4})
    ledger = simulate(arm, pool, SHORT, seed=0).ledger
    assert ledger.rollouts["screen"] > 0
    assert ledger.rollouts["screen"] % 2 == 0
    assert ledger.rollouts["train"] % 4 == 0
    assert ledger.rollouts["discarded"] == 0


def test_a_run_ends_when_a_gate_wants_no_prompt_any_more():
    # Prompts that nearly always pass, each evicted after its first screening that is all right.
    easy = make_simulated_pool(dataclasses.replace(SMALL, num_prompts=8, coin_flip=0.0), seed=0)
    easy.difficulty[:] = -30.0
    arm = Arm(
        name="two",
        gate="two_stage",
        gate_settings={"num_screening": 2, "num_rollouts": 4, "evict_after": 1},
    )
    assert simulate(arm, easy, SHORT, seed=0).ledger.rollouts == {
        "train": 0,
        "refresh": 0,
        "screen": 16,
        "discarded": 0,
    }


def test_an_oracle_draws_no_noise(pool):
    curve = simulate(arm_of("oracle"), pool, SHORT, seed=0)
    assert np.nanmax(curve.noise_share) == 0.0


def test_tokens_are_charged_as_they_were_generated(pool):
    # Twenty steps of 8 visit each of 60 prompts twice, and 40 of them a third time.
    tokens = simulate(ARMS["uniform"], pool, SHORT, seed=0).ledger.tokens["train"]
    twice = 2 * 4 * pool.lengths[:60].sum()
    assert (
        twice + 4 * 40 * pool.lengths[:60].min()
        <= tokens
        <= twice + 4 * 40 * pool.lengths[:60].max()
    )


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(pool):
    first, again, other = (
        simulate(ARMS["variance_greedy"], pool, SHORT, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.accuracy, again.accuracy)
    assert not np.array_equal(first.accuracy, other.accuracy)


def test_all_arms_start_alike(pool):
    starts = {
        simulate(ARMS[name], pool, SHORT, seed=0).accuracy[0]
        for name in ("uniform", "variance_greedy", "mixed")
    }
    assert len(starts) == 1


def test_a_batch_drawn_with_replacement_gives_a_prompt_new_rollouts_each_time(pool):
    # 8 prompts of a pool of 2: both stand there several times, and 4 equal groups each would be one
    # group.
    two = make_simulated_pool(dataclasses.replace(SMALL, num_prompts=2, coin_flip=1.0), seed=0)
    arm = Arm(
        name="paper", sampler="vas", settings={"preset": "paper", "refresh": "online", "beta": 0.0}
    )
    curve = simulate(arm, two, SHORT, seed=0)
    # Shares of mixed groups would be multiples of one half at most if visits were shared.
    assert len(np.unique(curve.mixed_share[~np.isnan(curve.mixed_share)])) > 3


def test_the_share_of_noise_in_uniform_batches_is_the_pools(pool):
    curve = simulate(
        ARMS["uniform"],
        pool,
        dataclasses.replace(SHORT, budget=60 * 4 * 8, evaluate_every=15),
        seed=0,
    )
    # Fifteen steps of 8 are two passes over 60 prompts, of which 12 are coin flips.
    assert curve.noise_share[1] == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["uniform", "vas_online", "variance_greedy", "mixed"])
def test_arms_learn(pool, name):
    curve = simulate(ARMS[name], pool, dataclasses.replace(SHORT, budget=3200), seed=0)
    assert curve.final_accuracy > curve.accuracy[0] + 0.03


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_registered_sampler_runs(pool, name):
    assert simulate(arm_of(name), pool, SHORT, seed=0).ledger.total_rollouts >= 640


def test_the_trap_passes_the_checker_of_samplers():
    check_prompt_sampler(VarianceGreedySampler)


def test_an_unknown_arm_is_named():
    with pytest.raises(ConfigError, match=r"arm must be one of uniform, vas, .* got 'best'"):
        arm_of("best")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rollouts_per_prompt": 1},
            r"rollouts_per_prompt must be a whole number of at least 2, got 1",
        ),
        ({"learning_rate": -1.0}, r"learning_rate must be at least 0, got -1\.0"),
    ],
)
def test_settings_that_no_run_can_have_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SimulationSettings(**changes)


@functools.cache
def finals(name, pool_name):
    """Final accuracy of an arm on seeds that no setting was chosen on."""
    pools = [make_simulated_pool(pool_settings(pool_name), seed=seed) for seed in HELD_OUT_SEEDS]
    return np.array(
        [
            simulate(arm_of(name), p, seed=seed).final_accuracy
            for p, seed in zip(pools, HELD_OUT_SEEDS, strict=True)
        ]
    )


@pytest.mark.slow
@pytest.mark.heavy
def test_refreshes_that_are_charged_cost_vas_more_than_its_choice_gains():
    assert (finals("vas", "clean") < finals("vas_free", "clean") - 0.02).all()


@pytest.mark.slow
def test_seeking_variance_wins_on_a_clean_pool_and_loses_on_a_noisy_one():
    assert (finals("variance_greedy", "clean") > finals("uniform", "clean")).all()
    assert (finals("variance_greedy", "noisy") < finals("uniform", "noisy")).all()


@pytest.mark.slow
@pytest.mark.parametrize("pool_name", ["clean", pytest.param("noisy", marks=pytest.mark.heavy)])
def test_progress_ends_above_uniform(pool_name):
    assert (finals("progress", pool_name) > finals("uniform", pool_name)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uniform", "vas_online", "progress"])
def test_a_million_prompts_are_simulated(name):
    million = make_simulated_pool(pool_settings("million"), seed=0)
    curve = simulate(
        arm_of(name), million, SimulationSettings(budget=5120, evaluate_every=10), seed=0
    )
    assert curve.steps[-1] == 10
    assert curve.final_accuracy > curve.accuracy[0]
