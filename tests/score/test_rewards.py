"""Reward terms by name: whose code is run, what a function is given, and what it may give back."""

import asyncio
import copy
import functools
import inspect
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
from vasari.score.reward import as_batched, combine, text_of
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


# What a function is given.


def seen_by(taken):
    """A function that takes so much, and what it was given."""
    seen = {}

    def note(**given):
        seen.update(given)
        return 0.0

    note.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in taken]
    )
    return note, seen


@given(
    st.sets(st.sampled_from(["prompt", "text", "token_ids", "verdict", "truncated"]), min_size=1)
)
def test_a_function_is_given_what_it_names_and_nothing_else(taken):
    function, seen = seen_by(taken)
    rewards_of([term_of("note", function)], ["four"])
    everything = {
        "prompt": PROMPT,
        "text": "four",
        "token_ids": [1, 2, 3],
        "verdict": RIGHT,
        "truncated": False,
    }
    assert seen == {name: everything[name] for name in taken}


def test_a_function_that_takes_any_keyword_is_given_all_five():
    seen = {}

    def note(**given):
        seen.update(given)
        return 0.0

    rewards_of([term_of("note", note)], ["four"])
    assert set(seen) == {"prompt", "text", "token_ids", "verdict", "truncated"}


def test_a_function_with_trl_s_signature_is_given_messages_tokens_and_columns():
    def shown(prompts, completions, completion_ids, solution, colour, **rest):
        assert prompts == [[{"role": "user", "content": "What is 2 + 2?"}]]
        assert completions == [[{"role": "assistant", "content": "four"}]]
        assert (completion_ids, solution, colour, rest["verdict"]) == (
            [[1, 2, 3]],
            ["4"],
            ["red"],
            [RIGHT],
        )
        rest["log_metric"]("colours", 1.0)
        return [0.25]

    (reward,) = rewards_of([term_of("shown", shown)], ["four"], colour=["red"])
    assert reward.total == 0.25


def test_settings_stand_where_a_column_is_called_alike():
    def graded(completions, difficulty="none", **_):
        return [float(difficulty == "mine")] * len(completions)

    assert (
        rewards_of([term_of("graded", functools.partial(graded, difficulty="mine"))], ["four"])[
            0
        ].total
        == 1.0
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda verdict: 1.0,
            (
                "reward 'f' takes verdict, and there is no column verdict; a trainer of vasari.trl"
                " adds"
            ),
        ),
        (
            lambda prompt, truncated: 1.0,
            "takes prompt, truncated, and there is no column vasari_prompt, truncated",
        ),
        (
            lambda completions, gold, **_: [1.0],
            "reward 'f' needs 'gold', which is no column here; there are: prompts",
        ),
    ],
)
def test_a_column_that_is_not_there_is_named(function, message):
    with pytest.raises(ConfigError, match=message):
        as_batched(term_of("f", function))(
            prompts=["q"], completions=["four"], completion_ids=[[1]]
        )


def test_what_may_be_left_out_keeps_its_default_where_there_is_no_column():
    term = term_of("f", lambda text, truncated=None: 1.0 if truncated is None else 0.0)
    assert as_batched(term)(prompts=["q"], completions=["four"], completion_ids=[[1]]) == [1.0]


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("four", "four"),
        ([{"role": "assistant", "content": "four"}], "four"),
        (
            [
                {"role": "assistant", "content": "two"},
                {"role": "tool", "content": "3"},
                {"content": "four"},
            ],
            "four",
        ),
        (
            [
                {
                    "content": [
                        {"type": "text", "text": "fo"},
                        {"type": "image", "text": None},
                        {"type": "text", "text": "ur"},
                    ]
                }
            ],
            "four",
        ),
        ([{"content": None}], ""),
        ([], ""),
    ],
)
def test_the_text_of_a_completion_is_read_in_every_form_of_trl(completion, text):
    assert text_of(completion) == text


@pytest.mark.parametrize("lacking", ["prompts", "texts", "token_ids", "verdicts", "truncated"])
def test_rollouts_without_one_of_each_are_refused(lacking):
    rows = {
        "prompts": [PROMPT],
        "texts": ["four"],
        "token_ids": [[1]],
        "verdicts": [RIGHT],
        "truncated": [False],
    }
    with pytest.raises(ConfigError, match=f"one of each for every rollout, got .*0 {lacking}"):
        score_rollouts(make_rewards(["format"]), **(rows | {lacking: []}))


def test_values_of_no_term_are_missed():
    with pytest.raises(
        ConfigError, match="there are no values of reward 'format'; there are: accuracy"
    ):
        combine(make_rewards(["accuracy", "format"]), {"accuracy": [1.0]}, [RIGHT])


# What a function gives back.


@pytest.mark.parametrize(
    "value", ["0.5", b"1", [1.0], np.array([1.0]), math.inf, -math.inf, object()]
)
@pytest.mark.parametrize("is_batched", [True, False])
def test_what_is_no_finite_number_is_named_in_training_and_outside(value, is_batched):
    function = (lambda completions, **_: [value]) if is_batched else (lambda text: value)
    term = term_of("odd", function)
    with pytest.raises(ConfigError, match=r"reward 'odd' gave .* for prompt 'q'; it must give a"):
        rewards_of([term], ["four"])
    with pytest.raises(ConfigError, match=r"reward 'odd' gave .*; it must give a"):
        as_batched(term)(prompts=["q"], completions=["four"], completion_ids=[[1]])


@pytest.mark.parametrize("value", [1, True, np.float32(1.0), np.array(1.0), np.int64(1)])
def test_numbers_of_other_types_are_numbers(value):
    assert rewards_of([term_of("one", lambda text: value)], ["four"])[0].total == 1.0


def test_nan_of_a_function_with_trl_s_signature_is_none():
    term = term_of("f", lambda completions, **_: [math.nan])
    assert as_batched(term)(prompts=["q"], completions=["four"], completion_ids=[[1]]) == [None]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, "gave 1.0; it must give a list"),
        (None, "gave None; it must give a list"),
        ([1.0, 1.0], "gave 2 values for 1 roll"),
    ],
)
def test_a_function_with_trl_s_signature_gives_one_value_for_each(value, message):
    with pytest.raises(ConfigError, match=f"reward 'f' {message}"):
        rewards_of([term_of("f", lambda completions, **_: value)], ["four"])


# Functions that must be awaited.


class Slow:
    """An object that must be awaited; each waits until both are called."""

    def __init__(self, called):
        self.called = called

    async def __call__(self, completions, worth=1.0, **_):
        self.called.append(self)
        while len(self.called) < 2:
            await asyncio.sleep(0)
        return [worth] * len(completions)


def test_functions_that_must_be_awaited_run_side_by_side():
    called = []
    terms = [
        term_of("one", Slow(called)),
        term_of("two", functools.partial(Slow(called), worth=2.0)),
    ]
    assert rewards_of(terms, ["four"])[0].breakdown == {"one": 1.0, "two": 2.0}


async def shouted(completions, **_):
    return [float(completion[0]["content"].isupper()) for completion in completions]


def test_a_function_is_awaited_also_inside_an_event_loop():
    async def notebook():
        return [
            reward.total for reward in rewards_of([term_of("shouted", shouted)], ["FOUR", "four"])
        ]

    assert asyncio.run(notebook()) == [1.0, 0.0]


@pytest.mark.slow
def test_trl_sees_which_functions_must_be_awaited():
    from trl.trainer.utils import is_async_callable

    functions = [
        shouted,
        Slow([]),
        functools.partial(Slow([]), worth=2.0),
        lambda completions, **_: [1.0],
    ]
    assert [is_async_callable(as_batched(term_of("f", function))) for function in functions] == [
        True,
        True,
        True,
        False,
    ]


def test_a_function_of_one_rollout_that_must_be_awaited_is_refused():
    async def judged(text):
        return 1.0

    with pytest.raises(
        ConfigError,
        match="reward 'judged' must be awaited, which only a function with TRL's signature may",
    ):
        term_of("judged", judged)


def adding(token_ids):
    token_ids.append(0)
    return 0.0


def test_scoring_leaves_the_tokens_of_the_caller_alone():
    rows = {
        "prompts": [PROMPT],
        "texts": ["four"],
        "token_ids": [[1, 2]],
        "verdicts": [RIGHT],
        "truncated": [False],
    }
    before = copy.deepcopy(rows)
    score_rollouts([term_of("adding", adding)], **rows)
    assert rows == before
