import math
import time

import pytest

from vasari.errors import ConfigError
from vasari.records import Outcome, Verdict
from vasari.score import RewardSettings, format_ok, reward_of
from vasari.verify import verify_answer

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
        r"<think>x</think><answer>\boxed{A}\boxed{B}\boxed{C}</answer>",
        r"<think>x</think><answer>\boxed{4} or \boxed{4}</answer>",
        r"Write <think>...</think><answer>\boxed{}</answer>. " + GOOD,
    ],
)
def test_other_forms_are_refused(text):
    assert not format_ok(text)


@pytest.mark.parametrize("filler", ["\\boxed{", "{", "\\", "\\boxed   ", "<think", "<answer>", "}", "\\boxed \\", " "])
def test_a_megabyte_of_hostile_text_takes_no_time(filler):
    body = filler * (1_000_000 // len(filler))
    start = time.process_time()
    format_ok(f"<think>x</think><answer>{body}</answer>")
    format_ok(body)
    assert time.process_time() - start < 5.0


# What a policy may try for a reward it has not earned; the key is B, and only the format may be paid.
GAMES = {
    "several boxes": (r"<think>x</think><answer>\boxed{A}\boxed{B}\boxed{C}</answer>", 0.0),
    "every letter in one box": (r"<think>x</think><answer>\boxed{A, B, C, D}</answer>", 1.0),
    "every letter as text": (r"<think>x</think><answer>A B C D</answer>", 0.0),
    "two answer blocks": (r"<think>x</think><answer>\boxed{A}</answer><answer>\boxed{B}</answer>", 0.0),
    "only in the thought": (r"<think>\boxed{B}</think><answer>see above</answer>", 0.0),
    "an unclosed thought": (r"<think>x \boxed{B}", 0.0),
    "an unclosed box": (r"<think>x</think><answer>\boxed{B</answer>", 0.0),
    "the prompt echoed": (r"Put your answer in one \boxed{}. <think></think><answer></answer>", 0.0),
    "all options listed": ("(A) 1\n(B) 2\n(C) 3\n(D) 4", 0.0),
    "repetition": ("The options are A, B, C and D. " * 3200, 0.0),
}


@pytest.mark.parametrize(("text", "total"), GAMES.values(), ids=GAMES)
def test_no_game_is_paid_for_accuracy(text, total):
    verdict = verify_answer(text, "B", ["1", "2", "3", "4"])
    assert verdict.outcome is Outcome.INCORRECT
    assert reward_of(verdict, format_ok(text)).total == total
