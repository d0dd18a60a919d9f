"""A sampler knows prompts by what is observed of them, not by where they stand in the pool."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler

SIZE = 9
histories = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(0, 4), st.integers(0, 3)), max_size=20
)

# What each sampler says of every prompt, apart from its random draws.
SAYS = {
    "oracle": ({"name": "oracle", "value": "std"}, lambda sampler: sampler.values()),
    "dots": ({"name": "target", "preset": "dots"}, lambda sampler: sampler.predicted_rates()),
    "sec": ({"name": "bins"}, lambda sampler: sampler.category_scores()[sampler._categories]),
    "dump": (
        {"name": "bins", "preset": "dump", "window": 5},
        lambda sampler: sampler.category_scores()[sampler._categories],
    ),
    "thompson": (
        {"name": "bins", "preset": "thompson"},
        lambda sampler: sampler.category_scores()[sampler._categories],
    ),
    "skip": ({"name": "skip"}, lambda sampler: sampler.keep_chances()),
    "retain": (
        {"name": "retain", "repair_window": 1},
        lambda sampler: np.isin(np.arange(SIZE), sampler.overdue()),
    ),
}


def group(index, num_right, step):
    verdicts = np.array([1.0] * num_right + [0.0] * (4 - num_right))
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts, batch=step)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SAYS)), st.permutations(range(SIZE)), histories)
def test_permuted_prompts_are_judged_alike(kind, places, history):
    settings_of, says = SAYS[kind]
    places, numbers = np.array(places), np.arange(SIZE)
    said = []
    for place in (numbers, places):
        whence = np.argsort(place)
        features = PoolFeatures(
            categories=(numbers % 3)[whence],
            category_names=("a", "b", "c"),
            difficulty=(numbers / SIZE)[whence],
            pass_rates=(numbers / (SIZE - 1))[whence],
        )
        sampler = make_sampler(num_prompts=SIZE, seed=0, features=features, **settings_of)
        for index, num_right, step in history:
            sampler.observe([group(int(place[index]), num_right, step)])
        sampler.due(4)
        said.append(np.asarray(says(sampler), dtype=float)[place])
    np.testing.assert_allclose(said[1], said[0], atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(SIZE)), st.floats(0, 1), st.integers(1, SIZE))
def test_permuted_prompts_are_equally_near_to_a_target(places, start, num):
    difficulty = np.linspace(0, 1, SIZE) ** 2
    features = PoolFeatures(difficulty=difficulty[np.argsort(places)])
    sampler = make_sampler("target", num_prompts=SIZE, seed=0, features=features, start=start)
    distance = np.abs(features.difficulty - start)
    np.testing.assert_allclose(
        np.sort(distance[sampler.draw(num).indices]), np.sort(distance)[:num], atol=1e-8
    )
