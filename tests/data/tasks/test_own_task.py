"""A task family of a user's: what its checker finds."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from vasari.data.tasks.check import check_task_family
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Scene, Text
from vasari.records import Outcome, Verdict
from vasari.verify import verify_answer

EXAMPLES = Path(__file__).parents[3] / "examples"


class Sums:
    """Two numbers that are written in the picture, to be added; every third problem is a choice of
    two."""

    name = "sums"
    levels = ("1", "2", "3")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        one, two = (int(number) for number in rng.integers(1, 40, size=2))
        right, letter = str(one + two), "AB"[int(rng.integers(2))]
        choices = None if rng.integers(3) else (right, "0") if letter == "A" else ("0", right)

        def think(thinker) -> str:
            total = thinker.add(thinker.read("left", one), thinker.read("right", two))
            if choices is None:
                return str(total)
            return thinker.choose(
                "so", letter if str(total) == right else "AB".replace(letter, ""), ["A", "B"]
            )

        return Problem(
            scene=Scene((Text((0.3, 0.5), str(one)), Text((0.7, 0.5), str(two)))),
            scene_key=f"sums {one} {two}",
            question="What do the numbers add up to?",
            kind="number" if choices is None else "choice",
            answer=right if choices is None else letter,
            choices=choices,
            think=think,
            facts=(
                Fact("Which number is left?", str(one)),
                Fact("Which number is right?", str(two)),
            ),
        )


def changed(**changes):
    """The family with parts of every problem changed: each change is a function of the problem, or
    a value."""

    class Changed(Sums):
        def sample(self, rng, level):
            problem = super().sample(rng, level)
            made = {
                key: value(problem) if callable(value) else value for key, value in changes.items()
            }
            return dataclasses.replace(problem, **made)

    return Changed


def another(**attributes):
    return type("Another", (Sums,), attributes)


COUNT = itertools.count()


def from_a_counter(self, rng, level):
    return Sums.sample(self, np.random.default_rng(next(COUNT)), level)


def always_the_same(self, rng, level):
    return Sums.sample(self, np.random.default_rng(1), level)


def always_thirty(self, rng, level):
    """Different pictures, one answer."""
    left = int(rng.integers(1, 29_000))
    return Problem(
        scene=Scene((Text((0.5, 0.5), str(left)),)),
        scene_key=f"thirty {left}",
        question="What is thirty?",
        kind="text",
        answer="thirty",
        think=lambda thinker: thinker.look("it is", "thirty", ["thirty"]),
    )


def silent(problem):
    return lambda thinker: problem.answer


def contradicting(problem):
    def think(thinker):
        thinker.say("so")
        return "39" if problem.kind == "number" else "B"

    return think


def wrong_where_it_may_slip(problem):
    def think(thinker):
        thinker.say("so")
        return problem.answer if thinker.slip_rate == 0 else "0"

    return think


def speechless_after_a_slip(problem):
    def think(thinker):
        found = problem.think(thinker)
        return "" if thinker.num_slips else found

    return think


BROKEN = {
    "not a class of a family": (
        type("Empty", (), {}),
        "the family is a Empty without name, levels, sample",
    ),
    "needs an argument": (
        another(__init__=lambda self, top: None),
        "the family needs the setting 'top'",
    ),
    "name": (another(name="My Sums"), "lower-case letters, digits and underscores, got 'My Sums'"),
    "no levels": (another(levels=()), r"levels must be different names .* got \(\)"),
    "levels are numbers": (
        another(levels=(1, 2)),
        r"levels must be different names .* got \(1, 2\)",
    ),
    "level with a slash": (another(levels=("1/2",)), "levels must be different names"),
    "level twice": (another(levels=("1", "1")), "levels must be different names"),
    "no problem": (another(sample=lambda self, rng, level: None), "sample gave a NoneType"),
    "random state of its own": (
        another(sample=from_a_counter),
        "one state of the generator gave two problems",
    ),
    "one scene": (
        another(sample=always_the_same),
        "200 problems show 1 scenes, none of them for the",
    ),
    "one answer": (another(sample=always_thirty), "every problem has the same answer"),
    "answer is a number": (changed(answer=7), "answer must be a text, got 7"),
    "empty question": (changed(question=" "), "question must be a text, got ' '"),
    "unknown kind": (changed(kind="integer"), "kind must be one of .* got 'integer'"),
    "choice without options": (
        changed(kind="choice", choices=None),
        "kind 'choice' and `choices` come together",
    ),
    "options without choice": (
        changed(kind="number", choices=("1", "2")),
        "kind 'choice' and `choices` come together",
    ),
    "one option": (changed(kind="choice", choices=("1",), answer="A"), "at least two options"),
    "equal options": (
        changed(kind="choice", choices=("1", "1"), answer="A"),
        "two options are the same",
    ),
    "answer beyond the options": (
        changed(kind="choice", choices=("1", "2"), answer="C"),
        r"must be a letter of \['A', 'B'\], got 'C'",
    ),
    "answer as a text of a choice": (
        changed(kind="choice", choices=("1", "2"), answer="1"),
        r"must be a letter of \['A', 'B'\], got '1'",
    ),
    "guessable": (changed(guessable=True), "guessable is for prompts that are spoiled"),
    "fact without answer": (
        changed(facts=(Fact("What?", ""),)),
        "a fact needs a question and an answer",
    ),
    "two answers to a fact": (
        changed(facts=(Fact("What?", "1"), Fact("What?", "2"))),
        "two answers to 'What\\?'",
    ),
    "one key for all": (
        changed(scene_key="sums"),
        "two different pictures have the scene_key 'sums'",
    ),
    "two keys for a picture": (
        changed(
            scene_key=lambda p: p.scene_key + p.kind,
            scene=Scene((Disc((0.5, 0.5), 0.1, fill="red"),)),
        ),
        "one picture has the scene_keys",
    ),
    "outside the picture": (
        changed(scene=lambda p: Scene((Disc((0.95, 0.5), 0.1),))),
        "a mark leaves the picture",
    ),
    "blank": (
        changed(scene=lambda p: Scene((Text((0.5, 0.5), p.scene_key, colour="paper"),))),
        "style 'plain': the picture is blank",
    ),
    "unknown colour": (
        changed(scene=lambda p: Scene((Text((0.5, 0.5), p.scene_key, colour="beige"),))),
        "a mark has the colour 'beige'",
    ),
    "reasoning without a step": (changed(think=silent), "think wrote no step"),
    "reasoning contradicts": (
        changed(think=contradicting),
        "exact reasoning finds '(39|B)', the answer is '",
    ),
    "wrong without a slip": (
        changed(think=wrong_where_it_may_slip),
        "that may slip and did not finds '0'",
    ),
    "no answer after a slip": (
        changed(think=speechless_after_a_slip),
        "reasoning with slips must end in a text, got ''",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_family_is_named_with_what_is_broken(case):
    family, message = BROKEN[case]
    with pytest.raises(AssertionError, match=message):
        check_task_family(family, verify_answer)


def test_a_verifier_that_cannot_read_the_answers_is_found():
    def reads_nothing(response, answer, choices=None, kind=None):
        return Verdict(Outcome.INCORRECT, None, "no_answer")

    with pytest.raises(
        AssertionError,
        match=r"the verifier finds '\w+' incorrect, and the reference answer is '\w+'; is it a ",
    ):
        check_task_family(Sums, reads_nothing)


def test_a_verifier_that_pays_everything_is_found():
    def pays(response, answer, choices=None, kind=None):
        return Verdict(Outcome.CORRECT, answer, "exact")

    with pytest.raises(
        AssertionError, match=r"the verifier accepts '\w+', and the reference answer is"
    ):
        check_task_family(Sums, pays)


def test_an_error_of_the_familys_own_says_which_problem_it_was():
    def fail(self, rng, level):
        return 1 / 0

    with pytest.raises(ZeroDivisionError) as raised:
        check_task_family(another(sample=fail), verify_answer)
    (note,) = raised.value.__notes__
    assert note.startswith("in sums.sample(np.random.default_rng(")


@pytest.mark.parametrize("family", [Sums, Sums()], ids=["class", "object"])
def test_a_sound_family_passes(family):
    check_task_family(family, verify_answer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.heavy] if place > 2 else [])
        for place, name in enumerate(FAMILIES)
    ],
)
def test_every_family_of_ours_passes(name):
    check_task_family(FAMILIES[name], verify_answer)


# By name.
