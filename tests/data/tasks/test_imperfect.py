"""Problems spoiled on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.imperfect import can_become_guessable, spoil, wrong_answer
from vasari.data.tasks.problem import Problem
from vasari.data.tasks.scene import Scene, Text
from vasari.data.tasks.thinker import Thinker
from vasari.records import AnswerKind

cases = st.tuples(
    st.sampled_from([(family, level) for family in FAMILIES.values() for level in family.levels]),
    st.integers(0, 2**32),
)


@dataclass
class Answers:
    """A family that gives these answers in turn."""

    answers: Sequence[tuple[str, str]]
    kind: AnswerKind = "text"
    name: str = "answers"
    levels: tuple[str, ...] = ("1",)
    num_sampled: int = field(default=0, init=False)

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        question, answer = self.answers[self.num_sampled % len(self.answers)]
        self.num_sampled += 1
        scene = Scene((Text((0.5, 0.5), answer),))
        return Problem(
            scene=scene,
            scene_key=answer,
            question=question,
            kind=self.kind,
            think=lambda _: answer,
            answer=answer,
        )


def final(problem: Problem) -> str:
    return problem.think(Thinker(rng=np.random.default_rng(0)))


@given(cases)
@settings(max_examples=60, deadline=None)
def test_a_wrong_label_is_another_answer_of_the_same_kind_and_the_reasoning_stays_right(case):
    (family, level), seed = case
    rng = np.random.default_rng(seed)
    problem = family.sample(rng, level)
    spoiled = spoil(problem, "wrong_label", family=family, level=level, rng=rng)
    assert (spoiled.answer != problem.answer, spoiled.kind, final(spoiled)) == (
        True,
        problem.kind,
        problem.answer,
    )


@given(cases)
@settings(max_examples=60, deadline=None)
def test_a_guessable_problem_has_two_options_and_reasons_to_the_right_one(case):
    (family, level), seed = case
    rng = np.random.default_rng(seed)
    problem = next(
        p for p in (family.sample(rng, level) for _ in range(100)) if can_become_guessable(p)
    )
    right = (
        problem.choices["AB".index(problem.answer)] if problem.kind == "choice" else problem.answer
    )
    spoiled = spoil(problem, "guessable", family=family, level=level, rng=rng)
    assert (spoiled.kind, len(set(spoiled.choices)), spoiled.guessable) == ("choice", 2, True)
    assert (final(spoiled), spoiled.choices["AB".index(spoiled.answer)]) == (spoiled.answer, right)


def test_an_unsolvable_problem_has_an_empty_picture_and_the_same_texts():
    family = Answers([("q", "red")])
    problem = family.sample(np.random.default_rng(0), "1")
    spoiled = spoil(problem, "unsolvable", family=family, level="1", rng=np.random.default_rng(0))
    assert (spoiled.scene, spoiled.question, spoiled.answer) == (Scene(()), "q", "red")


@given(st.integers(0, 10**6), st.integers(0, 2**32))
def test_a_wrong_number_is_near_and_not_negative(value, seed):
    family = Answers([("q", str(value))], kind="number")
    rng = np.random.default_rng(seed)
    wrong = int(wrong_answer(family.sample(rng, "1"), family=family, level="1", rng=rng))
    assert 1 <= abs(wrong - value) <= 3
    assert wrong >= 0


@pytest.mark.parametrize(
    ("right", "possible"),
    [
        ("2.5", {"2.2", "2.3", "2.4", "2.6", "2.7", "2.8"}),
        ("-1", {"-4", "-3", "-2", "0", "1", "2"}),
        ("yes", {"no"}),
        ("no", {"yes"}),
    ],
)
def test_wrong_answers_look_like_the_right_one(right, possible):
    family = Answers([("q", right)])
    rng = np.random.default_rng(0)
    problem = family.sample(rng, "1")
    assert {
        wrong_answer(problem, family=family, level="1", rng=rng) for _ in range(200)
    } == possible


def test_a_wrong_text_comes_from_a_question_that_begins_alike():
    family = Answers(
        [
            ("Which bar is tallest?", "red"),
            ("When does it end?", "noon"),
            ("Which bar is shortest?", "blue"),
        ]
    )
    rng = np.random.default_rng(0)
    assert wrong_answer(family.sample(rng, "1"), family=family, level="1", rng=rng) == "blue"


def test_a_wrong_text_comes_from_any_question_when_none_begins_alike():
    family = Answers([("Which bar is tallest?", "red"), ("When does it end?", "noon")])
    rng = np.random.default_rng(0)
    assert wrong_answer(family.sample(rng, "1"), family=family, level="1", rng=rng) == "noon"


def test_a_family_with_one_answer_cannot_be_mislabelled():
    family = Answers([("q", "red")])
    rng = np.random.default_rng(0)
    with pytest.raises(
        ConfigError,
        match="family 'answers', level 1: no second answer of kind 'text' in 200 problems",
    ):
        wrong_answer(family.sample(rng, "1"), family=family, level="1", rng=rng)


def test_a_multiple_choice_with_its_answer_further_down_cannot_become_guessable():
    family = Answers([("q", "C")], kind="choice")
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="becomes guessable when its answer is A or B, got 'C'"):
        spoil(family.sample(rng, "1"), "guessable", family=family, level="1", rng=rng)
