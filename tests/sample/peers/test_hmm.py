"""The sampler "hmm": filtered states worked by hand, the lazy roll against a plain one, settings,
saved state."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample.peers.hmm import HMM_PRESETS, HmmSampler, HmmSettings

IDS = ["a", "b", "c", "d"]
EVEN = [1 / 3, 1 / 3, 1 / 3]


def hmm(num_prompts=4, seed=0, prompt_ids=None, **changes):
    return HmmSampler(
        HmmSettings(**changes), num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids
    )


def outcome(index, verdicts):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)


def at_step(sampler, step, *groups):
    sampler.due(step)
    sampler.observe([outcome(index, verdicts) for index, verdicts in groups])


def test_a_mixed_group_makes_partly_solved_the_likeliest_next_state():
    sampler = hmm()
    at_step(sampler, 0, (1, [1, 0]))
    sampler.due(1)
    # xi is 1/3 in each entry of the row "to partial": P[partial, .] = (1 + 1/3) / (3 + 1/3) = 0.4,
    # the others 0.3.
    np.testing.assert_allclose(sampler.states(), [EVEN, [0.3, 0.4, 0.3], EVEN, EVEN], atol=1e-12)


def test_unseen_steps_roll_the_state_forward_and_forget_transitions():
    sampler = hmm(decay=0.5)
    at_step(sampler, 0, (1, [1, 0]))
    sampler.due(2)
    # Belief at step 1: (0.3, 0.4, 0.3). Counts now 1 + 1/6 in that row: 7/6 of 19/6 = 7/19; the
    # others 6/19.
    np.testing.assert_allclose(sampler.states()[1], [6 / 19, 7 / 19, 6 / 19], atol=1e-12)


def test_a_seen_transition_is_counted_from_the_state_before():
    sampler = hmm(decay=0.5)
    at_step(sampler, 0, (1, [1, 0]))
    at_step(sampler, 1, (1, [0, 1, 1]))
    sampler.due(2)
    # From partial to partial: xi = 1. Counts from partial: 1, 1 + 1/6 + 1, 1 of 25/6: P = 6/25,
    # 13/25, 6/25.
    np.testing.assert_allclose(sampler.states()[1], [6 / 25, 13 / 25, 6 / 25], atol=1e-12)


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [([0, 0], 0), ([1, 0], 1), ([1, 1], 2), ([1, math.nan], 2), ([math.nan, 0], 0)],
)
def test_a_group_shows_its_state_by_its_verifiable_rollouts(verdicts, state):
    sampler = hmm()
    at_step(sampler, 0, (0, verdicts))
    sampler.due(1)
    assert sampler.states()[0].argmax() == state


def test_an_unverifiable_group_shows_nothing():
    sampler = hmm()
    at_step(sampler, 0, (0, [math.nan, math.nan]))
    sampler.due(1)
    assert sampler.states()[0].tolist() == EVEN


@pytest.mark.parametrize("together", [True, False])
def test_two_groups_of_one_step_are_one(together):
    sampler, twin = hmm(), hmm()
    at_step(twin, 0, (0, [1, 0]))
    groups = [(0, [0, 0]), (0, [1, 1])]
    for part in [groups] if together else [groups[:1], groups[1:]]:
        at_step(sampler, 0, *part)
    shown = sampler._known.before
    np.testing.assert_array_equal(shown, twin._known.before)


def plain_states(history, num_steps, decay, prior=1.0):
    """A dense filter of one prompt, step by step, as the class docstring states it."""
    counts, before = np.full((3, 3), prior), np.full(3, 1 / 3)
    for step in range(num_steps):
        pi = counts / counts.sum(axis=0) @ before
        shown = history.get(step)
        if shown is None:
            before, counts = pi, decay * counts + (1 - decay) * prior
        else:
            xi = np.zeros((3, 3))
            xi[shown] = (counts / counts.sum(axis=0))[shown] * before / pi[shown]
            before, counts = np.eye(3)[shown], decay * counts + (1 - decay) * prior + xi
    return counts / counts.sum(axis=0) @ before


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 60), st.integers(0, 2), max_size=8), min_size=1, max_size=3
    ),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_rolling_only_what_is_known_equals_rolling_everything(histories, decay, prior):
    sampler, shows = (
        hmm(len(histories), decay=decay, prior=prior),
        {0: [0, 0], 1: [0, 1], 2: [1, 1]},
    )
    for step in range(61):
        groups = [
            (index, shows[history[step]])
            for index, history in enumerate(histories)
            if step in history
        ]
        if groups:
            at_step(sampler, step, *groups)
    for num_steps in (61, 140):
        sampler.due(num_steps)
        expected = [plain_states(history, num_steps, decay, prior) for history in histories]
        np.testing.assert_allclose(sampler.states(), expected, atol=1e-12)


def test_forgotten_prompts_cost_nothing():
    sampler = hmm(decay=0.5)
    at_step(sampler, 0, (1, [1, 0]), (2, [0, 0]))
    assert sampler.metrics()["sampler/tracked_share"] == 0.5
    sampler.due(60)
    assert sampler.metrics()["sampler/tracked_share"] == 0.0


def test_without_forgetting_a_long_rest_ends_at_the_stationary_state():
    sampler = hmm(decay=1.0)
    at_step(sampler, 0, (1, [1, 0]))
    sampler.due(10_000_000)
    # Counts stay 4/3 to partial from everywhere, 1 to the others: every column is (0.3, 0.4, 0.3).
    np.testing.assert_allclose(sampler.states()[1], [0.3, 0.4, 0.3], atol=1e-12)


def test_the_likeliest_partly_solved_are_taken_then_the_unseen_then_the_unanimous():
    sampler = hmm(5, candidate_factor=0)
    at_step(sampler, 0, (0, [0, 0]), (1, [1, 0]), (2, [1, 1]), (3, [0, 1]))
    at_step(sampler, 1, (3, [0, 1]))
    # P(partial): prompt 3 0.52, prompt 1 at step 2 7/19 = 0.37, never seen 1/3, unanimous below it.
    sampler.due(2)
    assert sampler.draw(5).indices.tolist()[:3] == [3, 1, 4]
    # Unanimous at step 0, one step rolled: P(partial) = 6/19 for both.
    assert set(sampler.draw(5).indices.tolist()[3:]) == {0, 2}


def test_entropy_adds_to_the_score_of_the_uncertain():
    greedy, curious = hmm(3, candidate_factor=0), hmm(3, candidate_factor=0, entropy_weight=10.0)
    for sampler in (greedy, curious):
        at_step(sampler, 0, (0, [1, 0]), (1, [1, 1]))
        sampler.due(1)
    # Entropies: ln 3 = 1.0986 never seen; (0.3, 0.4, 0.3) 1.0889 of both seen ones, of which one is
    # likelier partial.
    assert greedy.draw(1).indices.tolist() == [0]
    assert curious.draw(3).indices.tolist() == [2, 0, 1]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 3))
def test_prompts_are_chosen_wherever_they_stand(places, seed):
    sampler = hmm(4, seed, candidate_factor=0)
    at_step(sampler, 0, (places[0], [1, 0]), (places[1], [0, 0]))
    at_step(sampler, 1, (places[2], [1, 0]))
    sampler.due(2)
    # 0.4 seen mixed just now, 7/19 a step before, 1/3 never seen, 6/19 unanimous.
    assert sampler.draw(4).indices.tolist() == [places[2], places[0], places[3], places[1]]


def test_presets_are_the_authors_numbers():
    assert (
        HMM_PRESETS["dps"].decay,
        HMM_PRESETS["dps"].candidate_factor,
        HMM_PRESETS["dps"].prior,
    ) == (0.5, 8, 1.0)
    assert (HMM_PRESETS["dps-math"].decay, HMM_PRESETS["dps-math"].candidate_factor) == (0.7, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": 0.0}, r"prior must be above 0"),
        ({"decay": 1.1}, r"decay must be at least 0 and at most 1, got 1.1"),
        ({"entropy_weight": -1}, r"entropy_weight must be at least 0, got -1"),
        ({"candidate_factor": 2.0}, r"candidate_factor must be a whole number of at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        HmmSettings(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("before"), r"'before' is missing"),
        (lambda state: state.update(prompts=np.array([1, 1])), r"not in order"),
        (lambda state: state.update(prompts=np.array([1, 9])), r"saved prompt 9 of a pool of 4"),
        (lambda state: state.update(at=np.array([0])), r"different lengths"),
        (lambda state: state.update(excess=np.zeros(17)), r"damaged: ValueError"),
        (lambda state: state.update(excess=np.full(18, -1.0)), r"negative or infinite"),
        (lambda state: state.update(before=np.full(6, 0.5)), r"no probabilities"),
        (lambda state: state["clock"].pop("now"), r"KeyError: 'now'"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(change, message):
    sampler = hmm()
    at_step(sampler, 0, (1, [1, 0]), (3, [0, 0]))
    before = sampler.states()
    state = copy.deepcopy(sampler.state_dict())
    change(state["state"])
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    np.testing.assert_array_equal(sampler.states(), before)


def test_beliefs_are_carried_to_a_changed_pool_by_id():
    sampler = hmm(prompt_ids=IDS)
    at_step(sampler, 0, (1, [1, 0]), (3, [0, 0]))
    other = hmm(5, prompt_ids=["d", "new", "c", "x", "b"])
    other.load_state_dict(sampler.state_dict(), remap=True)
    for one in (sampler, other):
        one.due(1)
    expected = sampler.states()
    np.testing.assert_array_equal(
        other.states(), [expected[3], EVEN, expected[2], EVEN, expected[1]]
    )
