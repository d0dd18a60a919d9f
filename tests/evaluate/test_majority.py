"""The majority answer against hand counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.evaluate.majority import majority_answers, score_majority
from vasari.records import Prompt

prompt_lists = st.lists(
    st.builds(
        lambda answer, category: Prompt(
            id="p", question="?", answer=answer, kind="number", category=category
        ),
        st.sampled_from("123"),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=20,
)


def numbers(*answers: str, category: str = "bars") -> list[Prompt]:
    return [
        Prompt(id=f"{category}{i}", question="?", answer=a, kind="number", category=category)
        for i, a in enumerate(answers)
    ]


def test_each_stratum_has_its_own_majority():
    found = majority_answers(numbers("1", "2", "2") + numbers("5", "5", "1", category="pies"))
    assert found == {("bars", "", "number", 0): "2", ("pies", "", "number", 0): "5"}


def test_of_answers_that_tie_the_first_in_the_alphabet_is_taken():
    assert list(majority_answers(numbers("7", "3", "3", "7", "9")).values()) == ["3"]


def test_prompts_with_other_numbers_of_options_are_another_stratum():
    three = Prompt(id="a", question="?", answer="B", kind="choice", choices=("x", "y", "z"))
    assert len(majority_answers([three, replace(three, choices=("x", "y"))])) == 2


def test_the_majority_of_the_reference_is_scored_on_the_set():
    found = score_majority(numbers("1", "2", "2", "2"), numbers("1", "1", "2"))
    assert (found.accuracy, found.num_own) == (0.25, 0)


def test_a_stratum_that_the_reference_lacks_takes_the_majority_of_the_set_and_is_counted():
    found = score_majority(
        numbers("1", "1") + numbers("4", "4", "5", category="pies"), numbers("2", "2")
    )
    assert (found.accuracy, found.num_own) == (pytest.approx(2 / 5), 3)


def test_a_majority_spelled_otherwise_is_verified_and_not_compared_by_letters():
    assert score_majority(numbers("3.0"), numbers("3")).accuracy == 1.0


@given(prompt_lists)
def test_no_single_answer_for_each_stratum_beats_the_own_majority(prompts):
    best = score_majority(prompts, ()).accuracy
    assert all(
        score_majority(prompts, numbers(*[a], category="a") + numbers(*[a], category="b")).accuracy
        <= best
        for a in "123"
    )
