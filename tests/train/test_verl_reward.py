"""Our verifier as verl's reward function: numbers for verl, a verdict for the sampler."""

from __future__ import annotations

import inspect

import pytest

from vasari.core.errors import ConfigError
from vasari.train.verl_reward import reward_terms, verified

ROW = {
    "data_source": "quiz",
    "ground_truth": "B",
    "extra_info": {"index": 3, "question": "Which is red?", "choices": ["the box", "the ball"]},
}
WRITTEN = "<think> It is round. </think> <answer> \\boxed{B} </answer>"


def scores(solution: str, **row: object) -> dict[str, object]:
    return verified(**{**ROW, "solution_str": solution, **row})


def test_it_takes_what_verl_s_reward_managers_pass():
    # verl 0.9.1 calls with these four by keyword, and with router and tokenizer of a reward model.
    names = inspect.signature(verified).parameters
    assert {"data_source", "solution_str", "ground_truth", "extra_info"} <= names.keys()
    assert scores(WRITTEN, reward_router_address="x", reward_model_tokenizer=None)["score"] == 1.0


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        (WRITTEN, {"score": 1.0, "acc": 1.0, "unverifiable": 0.0, "verdict": "correct"}),
        ("It is A.", {"score": 0.0, "acc": 0.0, "unverifiable": 0.0, "verdict": "incorrect"}),
        ("", {"score": 0.0, "acc": 0.0, "unverifiable": 0.0, "verdict": "incorrect"}),
    ],
)
def test_a_verdict_comes_with_numbers(solution, expected):
    assert scores(solution).items() >= expected.items()


def test_an_option_s_text_is_its_letter():
    assert scores("The answer is the ball.")["verdict"] == "correct"


@pytest.mark.parametrize("reference", ["", None, "?", "{1,2"])
def test_a_reference_that_nobody_can_read_is_not_a_wrong_answer(reference):
    found = scores(
        "The answer is 3.", ground_truth=reference, extra_info={"index": 1, "kind": "number"}
    )
    assert found["verdict"] == "unverifiable"
    assert found["unverifiable"] == 1.0
    # verl takes numbers only; that it is out of the baseline is the trainer's part.
    assert (found["score"], found["acc"]) == (0.0, 0.0)


def of_short_texts(text):
    """Says nothing of what is longer."""
    return 1.0 if len(text) < 10 else None


def test_a_rollout_of_which_a_reward_says_nothing_is_no_wrong_one():
    rewards = ["accuracy", {"name": f"{__name__}:of_short_texts"}]
    found = scores(WRITTEN, rewards=rewards)
    assert (found["score"], found["acc"]) == (0.0, 0.0)
    assert (found["verdict"], found["unverifiable"]) == ("unverifiable", 1.0)


@pytest.mark.parametrize("extra", [None, {}, {"choices": None, "kind": None, "question": None}])
def test_rows_of_other_tools_have_less(extra):
    assert scores("The answer is 7.", ground_truth="7", extra_info=extra)["score"] == 1.0


def test_terms_add_up_and_the_verdict_stays_its_own():
    rewards = ["accuracy", {"name": "format", "weight": 0.5}]
    assert scores(WRITTEN, rewards=rewards)["score"] == 1.5
    wrong = scores(WRITTEN.replace("B", "A"), rewards=rewards)
    assert (wrong["score"], wrong["acc"], wrong["verdict"]) == (0.5, 0.0, "incorrect")


def test_what_the_prompt_already_holds_counts():
    rest = WRITTEN.removeprefix("<think>")
    rewards = ["format"]
    assert scores(rest, rewards=rewards)["score"] == 0.0
    assert scores(rest, rewards=rewards, opened="<think>")["score"] == 1.0


@pytest.mark.parametrize(
    ("rewards", "says"),
    [
        ([{"name": "cosine_length", "settings": {"max_tokens": 64}}], "takes token_ids"),
        (["nothing"], "nothing"),
        ("accuracy", "must be a list"),
        ([{"name": "format", "wight": 2}], "wight"),
    ],
)
def test_terms_that_cannot_be_had_are_refused(rewards, says):
    with pytest.raises(ConfigError, match=says):
        reward_terms(rewards)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rewads": ["format"]}, "'rewads' is not known; there are rewards and opened"),
        ({"opend": "<think>"}, "'opend' is not known"),
        ({"opened": 5}, "opened must be a text, got 5"),
        ({"opened": None}, "opened must be a text, got None"),
    ],
)
def test_reward_kwargs_that_would_change_nothing_are_refused(given, says):
    with pytest.raises(ConfigError, match=says):
        scores(WRITTEN, **given)
