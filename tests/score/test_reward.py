"""Rewards as functions: terms, weights, what leaves the baseline, and TRL's functions as they
are."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import REWARDS, check_reward, make_rewards, score_rollouts
from vasari.score.reward import RewardTerm, as_batched, combine
from vasari.score.terms import accuracy, format_reward
from vasari.verify import verify_answer

GOOD = r"<think>two and two</think><answer>so \boxed{4}.</answer>"
PROMPT = Prompt(id="q", question="What is 2 + 2?", answer="4")


def rewards_of(terms, texts, outcomes, token_ids=None, **columns):
    """Rewards of rollouts of one prompt."""
    num = len(texts)
    return score_rollouts(
        terms,
        prompts=[PROMPT] * num,
        texts=texts,
        token_ids=token_ids or [[1, 2, 3]] * num,
        verdicts=[Verdict(outcome) for outcome in outcomes],
        truncated=[False] * num,
        columns=columns,
    )


def paper():
    return make_rewards([{"name": "accuracy"}, {"name": "format"}])


@pytest.mark.parametrize(
    ("outcome", "text", "total"),
    [
        (Outcome.CORRECT, GOOD, 2.0),
        (Outcome.CORRECT, "4", 1.0),
        (Outcome.INCORRECT, GOOD, 1.0),
        (Outcome.INCORRECT, "4", 0.0),
    ],
)
def test_accuracy_and_format_add_up(outcome, text, total):
    assert rewards_of(paper(), [text], [outcome])[0].total == total


@pytest.mark.parametrize(
    "terms", [[{"name": "accuracy"}], [{"name": "format"}], [{"name": "repetition"}]]
)
def test_an_unverifiable_rollout_has_no_reward_whatever_the_terms_say(terms):
    assert math.isnan(rewards_of(make_rewards(terms), [GOOD], [Outcome.UNVERIFIABLE])[0].total)


def test_a_weight_scales_its_term_and_no_other():
    terms = make_rewards([{"name": "accuracy", "weight": 0.75}, {"name": "format", "weight": -0.5}])
    (reward,) = rewards_of(terms, [GOOD], [Outcome.CORRECT])
    assert (reward.breakdown, reward.total) == ({"accuracy": 0.75, "format": -0.5}, 0.25)


@given(st.lists(st.tuples(st.floats(-3, 3).filter(bool), st.floats(-5, 5)), min_size=1, max_size=5))
def test_the_total_is_the_weighted_sum(pairs):
    terms = [
        RewardTerm(f"t{n}", weight, lambda: 0.0, is_batched=False)
        for n, (weight, _) in enumerate(pairs)
    ]
    values = {f"t{n}": [value] for n, (_, value) in enumerate(pairs)}
    (reward,) = combine(terms, values, [Verdict(Outcome.CORRECT)])
    assert reward.total == pytest.approx(sum(weight * value for weight, value in pairs))
    assert sum(reward.breakdown.values()) == pytest.approx(reward.total)


def picky(text):
    """A function of one rollout that cannot judge some."""
    return None if "?" in text else 1.0


def sometimes(completions, **_):
    """A function with TRL's signature that does not apply to some."""
    return [None if "?" in completion[0]["content"] else 1.0 for completion in completions]


def test_none_of_a_function_of_one_rollout_takes_the_rollout_out():
    terms = [*paper(), RewardTerm("picky", 1.0, picky, is_batched=False)]
    first, second = rewards_of(terms, ["4", "4?"], [Outcome.CORRECT] * 2)
    assert first.total == 2.0
    assert math.isnan(second.total)


def test_none_of_a_function_with_trl_s_signature_leaves_its_term_out():
    terms = [*paper(), RewardTerm("sometimes", 1.0, sometimes, is_batched=True)]
    first, second = rewards_of(terms, ["4", "4?"], [Outcome.CORRECT] * 2)
    assert (first.total, second.total) == (2.0, 1.0)
    assert math.isnan(second.breakdown["sometimes"])


def test_a_rollout_that_no_function_can_judge_has_no_reward():
    (reward,) = rewards_of(
        [RewardTerm("sometimes", 1.0, sometimes, is_batched=True)], ["4?"], [Outcome.CORRECT]
    )
    assert math.isnan(reward.total)


def test_a_function_is_given_what_it_names():
    seen = {}

    def nosy(prompt, text, token_ids, verdict, truncated):
        seen.update(
            prompt=prompt,
            text=text,
            token_ids=token_ids,
            verdict=verdict.outcome,
            truncated=truncated,
        )
        return 0.5

    terms = [RewardTerm("nosy", 1.0, nosy, is_batched=False)]
    assert rewards_of(terms, ["four"], [Outcome.INCORRECT], [[7, 8]])[0].total == 0.5
    assert seen == {
        "prompt": PROMPT,
        "text": "four",
        "token_ids": [7, 8],
        "verdict": Outcome.INCORRECT,
        "truncated": False,
    }


def test_a_batched_term_has_its_name_and_gives_unweighted_values():
    (term,) = make_rewards([{"name": "accuracy", "weight": 3.0}])
    function = as_batched(term)
    said = function(
        prompts=["q"] * 3,
        completions=["a", "b", "c"],
        completion_ids=[[1]] * 3,
        verdict=[Verdict(outcome) for outcome in Outcome],
    )
    assert (function.__name__, said) == ("accuracy", [1.0, 0.0, None])


def test_texts_are_read_from_messages_parts_and_strings():
    (term,) = make_rewards([{"name": "format"}])
    forms = [
        GOOD,
        [{"role": "assistant", "content": GOOD}],
        [{"role": "assistant", "content": [{"type": "text", "text": GOOD}]}],
    ]
    assert as_batched(term)(completions=forms, completion_ids=[[1]] * 3) == [1.0] * 3


def test_trl_s_own_functions_are_accepted_as_they_are():
    from trl.rewards import get_soft_overlong_punishment

    terms = make_rewards(
        [
            {"name": "trl.rewards:think_format_reward", "weight": 0.5},
            {
                "name": "trl.rewards:get_soft_overlong_punishment",
                "settings": {"max_completion_len": 20, "soft_punish_cache": 10},
            },
        ]
    )
    ids = [[1] * 5, [1] * 15, [1] * 30]
    rewards = rewards_of(terms, ["<think>a</think>4", "4", "4"], [Outcome.CORRECT] * 3, ids)
    punished = get_soft_overlong_punishment(20, 10)(completion_ids=ids)
    assert (
        [reward.total for reward in rewards]
        == [0.5 + punished[0], punished[1], punished[2]]
        == [0.5, -0.5, -1.0]
    )


def test_a_function_that_must_be_awaited_is_awaited():
    async def later(completions, **_):
        await asyncio.sleep(0)
        return [float(len(completion[0]["content"])) for completion in completions]

    (reward,) = rewards_of(
        [RewardTerm("later", 2.0, later, is_batched=True)], ["four"], [Outcome.CORRECT]
    )
    assert reward.total == 8.0


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "name at least one term"),
        ([{"name": "precision"}], "reward must be one of accuracy, format, .*; got 'precision'"),
        ([{"name": "accuracy", "weight": 0}], "the weight must be finite and not 0, got 0$"),
        (
            [{"name": "accuracy", "weight": math.inf}],
            "the weight must be finite and not 0, got inf",
        ),
        ([{"name": "accuracy"}, {"name": "accuracy"}], "accuracy stands twice"),
        (
            [{"name": "cosine_length", "settings": {"tokens": 3}}],
            "reward 'cosine_length' has no setting 'tokens'; it has: ",
        ),
        (
            [{"name": "repetition", "settings": {"ngram": 0}}],
            "ngram must be a whole number of at least 1, got 0",
        ),
        ([{"name": "soft_overlong"}], "reward 'soft_overlong' needs the setting 'max_tokens'"),
        (
            [{"name": "accuracy", "settings": {"worth": 2}}],
            "reward 'accuracy' has no setting 'worth'; it has: none",
        ),
        ([{"name": "math:pi"}], "reward 'math:pi' is a float, which cannot be called"),
        ([{"name": "math:nothing"}], "math has no attribute 'nothing'"),
        (
            [{"name": "no_such_package.x:y"}],
            "no_such_package.x cannot be imported: ModuleNotFoundError",
        ),
        (
            [{"name": "shutil:copyfile"}],
            "reward 'shutil:copyfile' needs .*'dst', 'src'|reward 'shutil:copyfile' needs",
        ),
    ],
)
def test_what_is_no_reward_is_one_line(terms, message):
    with pytest.raises(ConfigError, match=message):
        make_rewards(terms)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("much", r"reward 'odd' gave 'much' for prompt 'q'; it must give a number or None"),
        (math.inf, r"reward 'odd' gave inf for prompt 'q'; it must give a finite number or None"),
        (math.nan, r"reward 'odd' gave nan for prompt 'q'"),
        ([1.0], r"reward 'odd' gave \[1.0\] for prompt 'q'"),
    ],
)
def test_a_value_that_is_no_number_is_one_line(value, message):
    with pytest.raises(ConfigError, match=message):
        rewards_of(
            [RewardTerm("odd", 1.0, lambda text: value, is_batched=False)], ["4"], [Outcome.CORRECT]
        )


def test_another_number_of_values_is_one_line():
    with pytest.raises(ConfigError, match="reward 'short' gave 1 values for 2 rollouts"):
        rewards_of(
            [RewardTerm("short", 1.0, lambda completions, **_: [1.0], is_batched=True)],
            ["4"] * 2,
            [Outcome.CORRECT] * 2,
        )


def test_a_term_that_knows_a_limit_is_told_the_training_s():
    cosine, overlong, own = make_rewards(
        [
            {"name": "cosine_length"},
            {"name": "soft_overlong"},
            {"name": "vasari.score.terms:SoftOverlong", "settings": {"max_tokens": 7}},
        ],
        max_tokens=40,
    )
    assert (cosine.function.max_tokens, overlong.function.max_tokens, own.function.max_tokens) == (
        40,
        40,
        7,
    )


@pytest.mark.parametrize("name", REWARDS)
def test_our_terms_keep_the_contract(name):
    check_reward(name)


def counting(text, calls=[]):  # noqa: B006
    calls.append(text)
    return float(len(calls))


def spoiling(token_ids):
    token_ids.append(0)
    return 0.0


def ranking(completions, **_):
    return [float(place) for place, _ in enumerate(completions)]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (counting, "gave different values for the same rollouts"),
        (ranking, "depends on the rollouts beside it"),
        (lambda text: "x", "must give a number or None"),
        (lambda completions, **_: [1.0], "gave 1 values for 18 rollouts"),
    ],
)
def test_a_broken_reward_is_named(function, message):
    with pytest.raises(AssertionError, match=message):
        check_reward(function)


def test_plain_functions_are_what_the_names_stand_for():
    assert (
        accuracy(verdict=Verdict(Outcome.CORRECT)),
        accuracy(verdict=Verdict(Outcome.UNVERIFIABLE)),
    ) == (1.0, None)
    assert (format_reward(text=GOOD), format_reward(text="4")) == (1.0, 0.0)


# What a policy may try for a reward it has not earned; the key is B, and only the format may be
# paid.
GAMES = {
    "several boxes": (r"<think>x</think><answer>\boxed{A}\boxed{B}\boxed{C}</answer>", 0.0),
    "every letter in one box": (r"<think>x</think><answer>\boxed{A, B, C, D}</answer>", 1.0),
    "every letter as text": (r"<think>x</think><answer>A B C D</answer>", 0.0),
    "two answer blocks": (
        r"<think>x</think><answer>\boxed{A}</answer><answer>\boxed{B}</answer>",
        0.0,
    ),
    "only in the thought": (r"<think>\boxed{B}</think><answer>see above</answer>", 0.0),
    "an unclosed thought": (r"<think>x \boxed{B}", 0.0),
    "an unclosed box": (r"<think>x</think><answer>\boxed{B</answer>", 0.0),
    "the prompt echoed": (
        r"Put your answer in one \boxed{}. <think></think><answer></answer>",
        0.0,
    ),
    "all options listed": ("(A) 1\n(B) 2\n(C) 3\n(D) 4", 0.0),
    "repetition": ("The options are A, B, C and D. " * 3200, 0.0),
}


@pytest.mark.parametrize(("text", "total"), GAMES.values(), ids=GAMES)
def test_no_game_is_paid_for_accuracy(text, total):
    verdict = verify_answer(text, "B", ["1", "2", "3", "4"])
    assert verdict.outcome is Outcome.INCORRECT
    (reward,) = score_rollouts(
        paper(),
        prompts=[PROMPT],
        texts=[text],
        token_ids=[[1]],
        verdicts=[verdict],
        truncated=[False],
    )
    assert reward.total == total
