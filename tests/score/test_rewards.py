"""Reward terms by name: how they add up, and whose code is run."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import RewardTerm, make_rewards, score_rollouts
from vasari.score.reward import as_batched, combine
from vasari.score.rewards import term_of

PROMPT = Prompt(id="q", question="What is 2 + 2?", answer="4")
RIGHT, WRONG, UNKNOWN = (Verdict(outcome) for outcome in Outcome)


def rewards_of(terms, texts, verdicts=None, **columns):
    num = len(texts)
    return score_rollouts(
        terms,
        prompts=[PROMPT] * num,
        texts=texts,
        token_ids=[[1, 2, 3]] * num,
        verdicts=verdicts or [RIGHT] * num,
        truncated=[False] * num,
        columns=columns,
    )


# Laws of the sum.

VALUES = st.one_of(st.none(), st.floats(-9, 9))
WEIGHTS = st.floats(-3, 3).filter(lambda weight: abs(weight) > 1e-3)
TERMS = st.lists(st.tuples(WEIGHTS, st.booleans(), VALUES), min_size=1, max_size=5)


def combined(terms, verdict=RIGHT):
    made = [
        RewardTerm(f"t{n}", weight, print, is_batched)
        for n, (weight, is_batched, _) in enumerate(terms)
    ]
    (reward,) = combine(
        made, {f"t{n}": [value] for n, (_, _, value) in enumerate(terms)}, [verdict]
    )
    return reward


@given(TERMS)
def test_a_rollout_leaves_its_baseline_for_a_missing_own_term_or_when_all_are_missing(terms):
    own_is_missing = any(value is None and not is_batched for _, is_batched, value in terms)
    all_are_missing = all(value is None for _, _, value in terms)
    assert math.isnan(combined(terms).total) == (own_is_missing or all_are_missing)


@given(TERMS)
def test_what_is_there_sums_to_the_total_and_what_is_missing_is_nan(terms):
    reward = combined(terms)
    assert [math.isnan(part) for part in reward.breakdown.values()] == [
        value is None for _, _, value in terms
    ]
    if not math.isnan(reward.total):
        assert reward.total == pytest.approx(np.nansum(list(reward.breakdown.values())))


@given(TERMS)
def test_an_unverifiable_rollout_has_its_terms_and_no_total(terms):
    known, unknown = combined(terms), combined(terms, UNKNOWN)
    assert math.isnan(unknown.total)
    np.testing.assert_equal(dict(unknown.breakdown), dict(known.breakdown))


@given(TERMS, st.floats(0.1, 10))
def test_a_weight_scales_its_own_part_and_moves_the_total_by_as_much(terms, factor):
    (weight, is_batched, value), *others = terms
    before, after = combined(terms), combined([(weight * factor, is_batched, value), *others])
    if value is not None and not math.isnan(before.total):
        part = weight * value
        assert after.breakdown["t0"] == pytest.approx(part * factor)
        assert after.total - before.total == pytest.approx(part * (factor - 1), abs=1e-9)
    assert [before.breakdown[f"t{n}"] for n in range(1, len(terms))] == pytest.approx(
        [after.breakdown[f"t{n}"] for n in range(1, len(terms))], nan_ok=True
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([RIGHT, WRONG]),
            st.text(max_size=30),
            st.lists(st.integers(0, 5), max_size=60),
        )
    )
)
def test_every_part_of_ours_is_bounded_by_its_weight(rollouts):
    names = ["accuracy", "format", "cosine_length", "repetition", "soft_overlong"]
    terms = make_rewards([{"name": name, "weight": 0.5} for name in names], max_tokens=40)
    verdicts, texts, token_ids = ([rollout[place] for rollout in rollouts] for place in range(3))
    num = len(rollouts)
    rewards = score_rollouts(
        terms,
        prompts=[PROMPT] * num,
        texts=texts,
        token_ids=token_ids,
        verdicts=verdicts,
        truncated=[False] * num,
    )
    assert all(abs(part) <= 0.5 for reward in rewards for part in reward.breakdown.values())


def test_without_verdicts_the_terms_alone_decide():
    terms = make_rewards(["format"])
    assert [reward.total for reward in combine(terms, {"format": [1.0, 0.0]}, None)] == [1.0, 0.0]


# Names.


def test_a_bare_name_has_the_weight_one():
    (term,) = make_rewards(["accuracy"])
    assert (term.name, term.weight, term.is_batched) == ("accuracy", 1.0, False)


def test_a_term_of_one_s_own_is_called_like_its_attribute():
    (term,) = make_rewards(["trl.rewards:think_format_reward"])
    assert (term.name, as_batched(term).__name__) == ("think_format_reward", "think_format_reward")


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module `stranger_rewards` that leaves a file when it is imported."""
    (tmp_path / "stranger_rewards.py").write_text(
        "import pathlib\n\npathlib.Path(__file__).with_name('ran').touch()\n\n"
        "def accuracy(text, words=3):\n    return words / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("VASARI_PLUGINS", raising=False)
    yield tmp_path / "ran"
    sys.modules.pop("stranger_rewards", None)


def test_a_name_in_a_file_runs_no_code_of_a_package_that_was_not_allowed(own_module, monkeypatch):
    named = [{"name": "stranger_rewards:accuracy", "settings": {"words": 5}}]
    with (
        names_from_a_file(),
        pytest.raises(ConfigError, match="allow it with --plugin stranger_rewards"),
    ):
        make_rewards(named)
    assert not own_module.exists()
    monkeypatch.setenv("VASARI_PLUGINS", "stranger_rewards")
    with names_from_a_file():
        terms = make_rewards(named)
    assert rewards_of(terms, ["four"])[0].breakdown == {"accuracy": 2.5}


def test_two_terms_of_one_name_are_refused_with_both_that_have_it(own_module):
    with pytest.raises(
        ConfigError,
        match=r"accuracy stands twice, as accuracy, stranger_rewards:accuracy; .* another name",
    ):
        make_rewards(["accuracy", "stranger_rewards:accuracy"])


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (
            {"name": "accuracy", "wieght": 2.0},
            "a reward has name, weight and settings, got .*wieght",
        ),
        ({"weight": 2.0}, "a reward has name, weight and settings, got {'weight': 2.0}"),
        (
            {"name": "accuracy", "weight": "much"},
            "reward 'accuracy': the weight must be finite and not 0, got 'much'",
        ),
        ({"name": "accuracy", "weight": math.nan}, "must be finite and not 0, got nan"),
        (
            {"name": "repetition", "settings": {"ngram": 2.5}},
            "ngram must be a whole number of at least 1, got 2.5",
        ),
        (
            {"name": "repetition", "settings": {"ngram": "20"}},
            "ngram must be a whole number of at least 1, got '20'",
        ),
        (
            {"name": "repetition", "settings": {"worst": "1"}},
            "worst must be a finite number, got '1'",
        ),
        (
            {"name": "soft_overlong", "settings": {"max_tokens": 9, "cache_tokens": 0}},
            "cache_tokens must be a whole number of at least 1 or None, got 0",
        ),
        ({"name": "builtins:max"}, "reward 'builtins:max' does not say what it takes"),
        (
            {"name": "statistics:mean"},
            (
                "reward 'statistics:mean' needs 'data': give it among .* may take prompt, text,"
                " token_ids"
            ),
        ),
        (
            {"name": "trl.rewards:get_cosine_scaled_reward"},
            "needs 'max_len': give it among the settings",
        ),
        (
            {"name": "trl.rewards:think_format_reward", "settings": {"completions": 1}},
            "reward 'trl.rewards:think_format_reward' has no setting 'completions'; it has: none",
        ),
        (
            {"name": "trl.rewards:get_repetition_penalty_reward", "settings": {"max_penalty": 1}},
            "should not be positive",
        ),
    ],
)
def test_a_term_that_cannot_be_made_is_one_line(term, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_rewards([term])
    assert "\n" not in str(caught.value)


def test_what_can_only_be_given_by_position_is_refused():
    def placed(text, /):
        return 1.0

    with pytest.raises(
        ConfigError, match="reward 'placed' takes 'text' by position; a reward is called by keyword"
    ):
        term_of("placed", placed)
