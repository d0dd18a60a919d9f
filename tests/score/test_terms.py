"""Our reward terms: lengths and repetition by hand and against TRL's, and the paper's format."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import format_ok, make_rewards, score_rollouts
from vasari.score.terms import CosineLength, RepetitionPenalty, SoftOverlong

GOOD = r"<think>two and two</think><answer>so \boxed{4}.</answer>"
COSINE = CosineLength(
    max_tokens=100,
    correct_start=2.0,
    correct_end=1.0,
    wrong_start=-10.0,
    wrong_end=0.0,
    exceeded=-7.0,
)


def cosine(term, num_tokens, *, correct):
    verdict = Verdict(Outcome.CORRECT if correct else Outcome.INCORRECT)
    return term(token_ids=range(num_tokens), verdict=verdict)


@pytest.mark.parametrize(
    ("num_tokens", "correct", "value"),
    # Half way the cosine is 0: the middle of start and end. At a third, cos(pi/3) = 1/2: end + 3/4
    # of the way back.
    [
        (0, True, 2.0),
        (50, True, 1.5),
        (0, False, -10.0),
        (50, False, -5.0),
        (100, True, -7.0),
        (1000, False, -7.0),
    ],
)
def test_the_cosine_runs_from_start_to_end(num_tokens, correct, value):
    assert cosine(COSINE, num_tokens, correct=correct) == pytest.approx(value)


def test_a_third_of_the_length_is_three_quarters_of_the_way_back():
    term = CosineLength(max_tokens=90, correct_start=1.0, correct_end=0.0)
    assert cosine(term, 30, correct=True) == pytest.approx(0.75)


@given(st.integers(0, 98))
def test_a_right_answer_gains_by_being_shorter_and_a_wrong_one_by_being_longer(num_tokens):
    assert cosine(COSINE, num_tokens, correct=True) > cosine(COSINE, num_tokens + 1, correct=True)
    assert cosine(COSINE, num_tokens, correct=False) < cosine(COSINE, num_tokens + 1, correct=False)


@pytest.mark.parametrize(
    ("tokens", "value"),
    # 2-grams: "a b a b" has ab, ba, ab: 2 of 3 differ, so a third is repeated.
    [("abcd", 0.0), ("abab", -1 / 3), ("aaaaa", -3 / 4), ("a", 0.0), ("", 0.0)],
)
def test_the_share_of_repeated_ngrams_is_lost(tokens, value):
    assert RepetitionPenalty(ngram=2, worst=1.0)(token_ids=tokens) == pytest.approx(value)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_the_repetition_term_stays_in_its_range(tokens):
    assert -0.5 <= RepetitionPenalty(ngram=3, worst=0.5)(token_ids=tokens) <= 0.0


def test_a_hundred_kilobytes_of_repetition_lose_nearly_everything():
    assert RepetitionPenalty(ngram=20, worst=1.0)(token_ids=["seven"] * 100_000) < -0.999


def test_the_breakdown_holds_the_terms_that_were_asked_for():
    limits = {"correct_start": 2.0, "correct_end": 1.0, "max_tokens": 100}
    terms = make_rewards(
        [
            {"name": "accuracy"},
            {"name": "cosine_length", "settings": limits},
            {"name": "repetition", "settings": {"ngram": 2}},
        ]
    )
    (reward,) = score_rollouts(
        terms,
        prompts=[Prompt(id="q", question="q", answer="4")],
        texts=["4"],
        token_ids=[list(map(ord, "abab" + "c" * 46))],
        verdicts=[Verdict(Outcome.CORRECT)],
        truncated=[False],
    )
    # 50 of 100 tokens: 1.5. 49 2-grams: ab ba ab bc and 45 times cc; 4 different ones.
    expected = {
        "accuracy": 1.0,
        "cosine_length": pytest.approx(1.5),
        "repetition": pytest.approx(-45 / 49),
    }
    assert reward.breakdown == expected
    assert reward.total == pytest.approx(2.5 - 45 / 49)


@given(st.integers(1, 60), st.data(), st.integers(0, 100))
def test_the_punishment_of_overlong_rollouts_is_trl_s(max_tokens, data, num_tokens):
    from trl.rewards import get_soft_overlong_punishment

    cache = data.draw(st.integers(1, max_tokens))
    (theirs,) = get_soft_overlong_punishment(max_tokens, cache)(completion_ids=[[0] * num_tokens])
    assert SoftOverlong(max_tokens=max_tokens, cache_tokens=cache)(
        token_ids=[0] * num_tokens
    ) == pytest.approx(theirs)


def test_the_punishment_grows_over_a_fifth_of_the_limit_unless_told_otherwise():
    term = SoftOverlong(max_tokens=100)
    assert [term(token_ids=[0] * n) for n in (80, 90, 100, 200)] == pytest.approx(
        [0.0, -0.5, -1.0, -1.0]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CosineLength(max_tokens=0),
            r"max_tokens must be a whole number of at least 1, got 0",
        ),
        (
            lambda: CosineLength(max_tokens=9, exceeded=math.nan),
            r"exceeded must be a finite number, got nan",
        ),
        (lambda: RepetitionPenalty(ngram=0), r"ngram must be a whole number of at least 1, got 0"),
        (lambda: RepetitionPenalty(worst=-1.0), r"worst must be at least 0, got -1"),
        (
            lambda: SoftOverlong(max_tokens=0),
            r"max_tokens must be a whole number of at least 1, got 0",
        ),
        (
            lambda: SoftOverlong(max_tokens=9, cache_tokens=10),
            r"between 1 and max_tokens \(9\), got 10",
        ),
    ],
)
def test_impossible_terms_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


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


@pytest.mark.parametrize(
    "filler", ["\\boxed{", "{", "\\", "\\boxed   ", "<think", "<answer>", "}", "\\boxed \\", " "]
)
def test_a_megabyte_of_hostile_text_takes_no_time(filler):
    body = filler * (1_000_000 // len(filler))
    start = time.process_time()
    format_ok(f"<think>x</think><answer>{body}</answer>")
    format_ok(body)
    assert time.process_time() - start < 5.0
