"""Prompts with imperfections of real pools: wrong labels, guessable and unsolvable prompts."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Literal

import numpy as np

from vasari.core.errors import ConfigError
from vasari.data.tasks.families.base import LETTERS, with_choices
from vasari.data.tasks.problem import Family, Problem
from vasari.data.tasks.scene import Scene

Imperfection = Literal["wrong_label", "guessable", "unsolvable"]

_TRIES = 200
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def spoil(
    problem: Problem, how: Imperfection, *, family: Family, level: str, rng: np.random.Generator
) -> Problem:
    """Return the problem made imperfect as `how` says: wrong label, guessable or unsolvable.

    * "wrong_label": the reference answer is another plausible one; the reasoning still leads to the
        right one.
    * "guessable": a multiple choice with two options, right half of the time without looking. Of a
      multiple choice the first two options stay: its reasoning, and perhaps its picture, name the
      letters.
    * "unsolvable": the picture is empty paper; question, reasoning and answer stay.

    Raises:
        ConfigError: The family yields no second answer of this kind, or the problem cannot be
            spoiled in this way.
    """
    if how == "unsolvable":
        return replace(problem, scene=Scene(()))
    if how == "wrong_label":
        return replace(problem, answer=wrong_answer(problem, family=family, level=level, rng=rng))
    if not can_become_guessable(problem):
        raise ConfigError(
            f"a multiple choice becomes guessable when its answer is A or B, got {problem.answer!r}"
        )
    if problem.kind == "choice" and problem.choices:
        return replace(problem, choices=problem.choices[:2], guessable=True)
    other = wrong_answer(problem, family=family, level=level, rng=rng)
    return replace(with_choices(rng, problem, (other,)), guessable=True)


def can_become_guessable(problem: Problem) -> bool:
    """Whether a problem can become a choice of two options; not if its answer is option C or D."""
    return problem.kind != "choice" or problem.answer in LETTERS[:2]


def wrong_answer(problem: Problem, *, family: Family, level: str, rng: np.random.Generator) -> str:
    """Return a plausible wrong answer to a problem, of the same kind as the right one.

    A number close by, another option's letter, the other of yes and no; for other texts the answer
    to another problem of the family, preferably to a question that begins alike.

    Raises:
        ConfigError: The family yields no second answer of this kind.
    """
    if problem.kind == "choice" and problem.choices:
        letters = [letter for letter in LETTERS[: len(problem.choices)] if letter != problem.answer]
        return letters[int(rng.integers(len(letters)))]
    if _NUMBER.fullmatch(problem.answer):
        return _near(problem.answer, rng)
    if problem.answer in ("yes", "no"):
        return "no" if problem.answer == "yes" else "yes"
    fallback: str | None = None
    for _ in range(_TRIES):
        other = family.sample(rng, level)
        if other.kind != problem.kind or other.answer == problem.answer:
            continue
        if other.question.split()[:3] == problem.question.split()[:3]:
            return other.answer
        fallback = other.answer
    if fallback is None:
        raise ConfigError(
            f"family {family.name!r}, level {level}: no second answer of kind {problem.kind!r} in"
            f" {_TRIES} problems"
        )
    return fallback


def _near(answer: str, rng: np.random.Generator) -> str:
    """Return a number one to three units of the last digit away, not negative unless it is."""
    value = Decimal(answer)
    unit = Decimal(1).scaleb(int(value.as_tuple().exponent))
    near = [value + unit * step for step in (-3, -2, -1, 1, 2, 3)]
    plausible = [v for v in near if v >= 0 or value < 0]
    return str(plausible[int(rng.integers(len(plausible)))])
