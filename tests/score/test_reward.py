import math
import time

import pytest

from vasari.errors import ConfigError
from vasari.records import Outcome, Verdict
from vasari.score import RewardSettings, format_ok, reward_of

GOOD = r"<think>two and two</think><answer>so \boxed{4}.</answer>"


@pytest.mark.parametrize(
    ("outcome", "well_formed", "total"),
    [
        (Outcome.CORRECT, True, 2.0),
        (Outcome.CORRECT, False, 1.0),
        (Outcome.INCORRECT, True, 1.0),
        (Outcome.INCORRECT, False, 0.0),
    ],
)
def test_accuracy_and_format_add_up(outcome, well_formed, total):
    assert reward_of(Verdict(outcome), well_formed, RewardSettings()).total == total


@pytest.mark.parametrize("well_formed", [True, False])
def test_an_unverifiable_rollout_has_no_reward(well_formed):
    reward = reward_of(Verdict(Outcome.UNVERIFIABLE), well_formed, RewardSettings(accuracy=0.0))
    assert math.isnan(reward.total)


def test_the_breakdown_sums_to_the_total():
    reward = reward_of(Verdict(Outcome.CORRECT), True, RewardSettings(accuracy=0.9, format=0.1))
    assert (reward.breakdown, reward.total) == ({"accuracy": 0.9, "format": 0.1}, 1.0)


@pytest.mark.parametrize("settings", [{"accuracy": -1.0}, {"format": math.nan}])
def test_impossible_rewards_are_refused(settings):
    with pytest.raises(ConfigError, match="finite and at least 0"):
        RewardSettings(**settings)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\n {GOOD}\n",
        GOOD.replace("</think><answer>", "</think>\n\n<answer>"),
        r"<think>x</think><answer>\boxed{\frac{1}{2}}</answer>",
        r"<think>x</think><answer>\boxed {B}</answer>",
        r"<think>a \boxed{ in thought</think><answer>\boxed{B}</answer>",
        r"<think>x</think><answer>\boxed{open \boxed{4}</answer>",
        r"<think>x</think><answer>\boxed{\{1, 2\}}</answer>",
    ],
)
def test_the_papers_format_is_accepted(text):
    assert format_ok(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        r"\boxed{4}",
        r"<think>x</think>\boxed{4}",
        r"<think></think><answer>\boxed{4}</answer>",
        r"<think> \n </think><answer>4</answer>",
        "<think>  \n</think><answer>\\boxed{4}</answer>",
        r"<think>x</think><answer>4</answer>",
        r"<think>x</think><answer>\boxed{4</answer>",
        r"<think>x</think><answer>\boxed{4\}</answer>",
        r"<think>x</think><answer>boxed{4}</answer>",
        r"<think>x</think><answer>{4} \boxed</answer>",
        r"<think>\boxed{4}</think><answer>4</answer>",
        "Sure. " + GOOD,
        GOOD + " Done.",
        GOOD.replace("</think>", "</think> so "),
        GOOD + GOOD,
        GOOD.replace("two and", "<think>"),
        r"<answer>\boxed{4}</answer><think>x</think>",
        r"<think>x<answer>\boxed{4}</answer></think>",
        r"<think>x</think><answer>\boxed{4}",
        r"</think>x<think><answer>\boxed{4}</answer>",
        r"<think>x</think></answer>\boxed{4}<answer>",
        GOOD.upper(),
    ],
)
def test_other_forms_are_refused(text):
    assert not format_ok(text)


@pytest.mark.parametrize("filler", ["\\boxed{", "{", "\\", "\\boxed   ", "<think", "<answer>", "}", "\\boxed \\", " "])
def test_a_megabyte_of_hostile_text_takes_no_time(filler):
    body = filler * (1_000_000 // len(filler))
    start = time.perf_counter()
    format_ok(f"<think>x</think><answer>{body}</answer>")
    format_ok(body)
    assert time.perf_counter() - start < 5.0
