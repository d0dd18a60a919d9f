"""Answers that mean the same vote together, others do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.evaluate.votes import vote_of
from vasari.records import Prompt

NUMBER = Prompt(id="n", question="?", answer="12", kind="number")
CHOICE = Prompt(id="c", question="?", answer="B", kind="choice", choices=("red", "green", "blue"))
TEXT = Prompt(id="t", question="?", answer="the red bar", kind="text")
SET = Prompt(id="s", question="?", answer="red, blue", kind="set")
FORMULA = Prompt(id="e", question="?", answer="x^2", kind="expression")
UNSAID = Prompt(id="u", question="?", answer="12")


@pytest.mark.parametrize(
    ("prompt", "one", "other"),
    [
        (NUMBER, "0.5", r"\frac{1}{2}"),
        (NUMBER, "12", "$12.0$"),
        (UNSAID, "12", "12."),
        (CHOICE, "(B)", "green"),
        (CHOICE, "B.", "option B"),
        (TEXT, "The red bar.", "red bar"),
        (SET, "{red, blue}", "blue and red"),
        (FORMULA, "x^{2} + 1", "x^{2}+1"),
    ],
)
def test_answers_that_mean_the_same_vote_together(prompt, one, other):
    assert vote_of(one, prompt) == vote_of(other, prompt)


@pytest.mark.parametrize(
    ("prompt", "one", "other"),
    [
        (NUMBER, "12", "13"),
        (NUMBER, "12", "twelve or so"),
        (CHOICE, "A", "B"),
        (CHOICE, "A", "A and B"),
        (TEXT, "red", "blue"),
        (SET, "red, red", "red"),
        (FORMULA, "x", "y"),
    ],
)
def test_answers_that_mean_something_else_vote_apart(prompt, one, other):
    assert vote_of(one, prompt) != vote_of(other, prompt)


def test_no_answer_abstains():
    assert vote_of(None, NUMBER) is None


def test_a_number_too_large_to_hold_is_a_vote_like_any_text():
    assert vote_of("1e999999999", NUMBER) == "1e999999999"


@given(st.text(max_size=80), st.sampled_from([NUMBER, CHOICE, TEXT, SET, FORMULA, UNSAID]))
def test_whatever_is_written_is_a_vote(text, prompt):
    assert isinstance(vote_of(text, prompt), str)
