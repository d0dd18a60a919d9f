"""Functions of TRL as rewards, beside ours; and what the checker of rewards finds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import check_reward, make_rewards, score_rollouts

PROMPT = Prompt(id="q", question="What is 2 + 2?", answer="4")
RIGHT, WRONG, UNKNOWN = (Verdict(outcome) for outcome in Outcome)

# TRL's own functions, beside ours and as they are.

BOXED = [r"<think>a</think>\boxed{4}", r"\boxed{5}", "four"]


@given(st.lists(st.integers(0, 3), max_size=50), st.integers(1, 6))
def test_the_repetition_term_is_trl_s(tokens, ngram):
    from trl.rewards import get_repetition_penalty_reward

    (ours,) = make_rewards([{"name": "repetition", "settings": {"ngram": ngram}}])
    (theirs,) = get_repetition_penalty_reward(ngram)(completion_ids=[tokens])
    assert ours.function(token_ids=tokens) == pytest.approx(theirs)


@pytest.mark.parametrize("num_tokens", range(0, 40, 3))
def test_below_the_limit_the_cosine_is_trl_s(num_tokens):
    from trl.rewards import get_cosine_scaled_reward

    settings = {
        "max_tokens": 40,
        "correct_start": 1.0,
        "correct_end": 0.5,
        "wrong_start": -1.0,
        "wrong_end": -0.5,
    }
    (ours,) = make_rewards([{"name": "cosine_length", "settings": settings}])
    tokens = [0] * num_tokens
    completions = [[{"role": "assistant", "content": text}] for text in BOXED[:2]]
    theirs = get_cosine_scaled_reward(40)(
        completions=completions, solution=["4", "4"], completion_ids=[tokens, tokens]
    )
    assert [
        ours.function(token_ids=tokens, verdict=verdict) for verdict in (RIGHT, WRONG)
    ] == pytest.approx(theirs)


TRL = {
    "accuracy_reward": {},
    "think_format_reward": {},
    "get_soft_overlong_punishment": {"max_completion_len": 9, "soft_punish_cache": 8},
    "get_repetition_penalty_reward": {"ngram_size": 1},
    "get_cosine_scaled_reward": {"max_len": 9},
}


@pytest.mark.parametrize("name", TRL)
def test_a_function_of_trl_gives_what_it_gives_there(name):
    import trl.rewards

    (term,) = make_rewards([{"name": f"trl.rewards:{name}", "weight": 2.0, "settings": TRL[name]}])
    function = getattr(trl.rewards, name)
    function = function(**TRL[name]) if TRL[name] else function
    completions = [[{"role": "assistant", "content": text}] for text in BOXED]
    theirs = function(completions=completions, completion_ids=[[1, 2, 3]] * 3, solution=["4"] * 3)
    rewards = score_rollouts(
        [term],
        prompts=[PROMPT] * 3,
        texts=BOXED,
        token_ids=[[1, 2, 3]] * 3,
        verdicts=[RIGHT] * 3,
        truncated=[False] * 3,
    )
    assert [reward.total for reward in rewards] == pytest.approx([2.0 * value for value in theirs])


@pytest.mark.parametrize("name", TRL)
def test_functions_of_trl_keep_the_contract(name):
    check_reward(f"trl.rewards:{name}", **TRL[name])


# The checker.


def adding(token_ids):
    token_ids.append(0)
    return 0.0


def marking(prompt):
    prompt.metadata["seen"] = True
    return 0.0


def ordering(completions, **_):
    completions.sort(key=str)
    return [0.0] * len(completions)


def best_of_all(completions, completion_ids, **_):
    most = max(map(len, completion_ids)) or 1
    return [len(ids) / most for ids in completion_ids]


def above_the_mean(completion_ids, **_):
    return [
        len(ids) - sum(map(len, completion_ids)) / len(completion_ids) for ids in completion_ids
    ]


@pytest.mark.parametrize("function", [adding, marking, ordering])
def test_the_checker_finds_a_reward_that_changes_what_it_is_shown(function):
    with pytest.raises(
        AssertionError, match=f"reward '{function.__name__}' changed the rollouts that it was shown"
    ):
        check_reward(function)


@pytest.mark.parametrize("function", [best_of_all, above_the_mean])
def test_the_checker_finds_a_reward_that_looks_at_the_rollouts_beside(function):
    with pytest.raises(
        AssertionError,
        match=f"reward '{function.__name__}' of a rollout depends on the rollouts beside it",
    ):
        check_reward(function)


def first_token(token_ids):
    return float(token_ids[0] * 0)


def known(verdict):
    return {RIGHT.outcome: 1.0, WRONG.outcome: 0.0}[verdict.outcome]


def option(prompt, text):
    return float(text == prompt.choices[0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (first_token, "raised IndexError: .*; on a rollout of 0 tokens, correct, of prompt 'text'"),
        (known, "raised KeyError: .*; on a rollout of 0 tokens, unverifiable, of prompt 'choice'"),
        (option, "raised TypeError: .*; on a rollout of 0 tokens, correct, of prompt 'text'"),
        (lambda text: math.inf if len(text) > 10_000 else 0.0, "gave inf for prompt"),
        (lambda completions, **_: 1.0, "must give a list"),
    ],
)
def test_the_checker_says_on_which_rollout_a_reward_fails(function, message):
    with pytest.raises(AssertionError, match=message):
        check_reward(function)


def test_the_checker_takes_names_classes_and_functions_with_settings():
    from vasari.score.terms import RepetitionPenalty

    check_reward("repetition", ngram=3)
    check_reward(RepetitionPenalty, ngram=3)
    check_reward(lambda text, words=3: min(1.0, len(text.split()) / words), words=5)
    with pytest.raises(ConfigError, match="has no setting 'word'; it has: words"):
        check_reward(lambda text, words=3: 1.0, word=5)
