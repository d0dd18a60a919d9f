"""Reward functions: what they are given, what they may give back, and async ones."""

import asyncio
import copy
import functools
import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import make_rewards, score_rollouts
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
