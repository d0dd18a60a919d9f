"""Checks that every task family (maker of generated problems) must pass, ours or a user's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import numpy as np

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import AnswerKind, Outcome, Prompt, Verdict
from vasari.data.tasks.draw import draw
from vasari.data.tasks.families import as_family
from vasari.data.tasks.imperfect import wrong_answer
from vasari.data.tasks.pool import PoolSettings, Split, make_pool, scene_digest, split_of
from vasari.data.tasks.problem import Family, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Polygon, Scene, Text, Wedge
from vasari.data.tasks.styles import HELD_OUT_STYLE, STYLES
from vasari.data.tasks.thinker import Thinker

Verify = Callable[[str, str, Sequence[str] | None, AnswerKind | None], Verdict]
"""Response, reference answer, options and kind to a verdict: `vasari.verify.verify_answer`."""

_NUM_PROBLEMS = 200
"""Of each level: enough that a level without a scene for each split would show (0.9 to the 200th is
1e-9)."""
_NUM_SOLVED = 40
_NUM_DRAWN = 3
_NUM_PROMPTS = 12
_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def check_task_family(family: Family | type[Family], verify: Verify) -> None:
    """Check that a task family (maker of problems) obeys the interface `Family` at all its levels.

    Args:
        family: As a recipe may name it: a class that is called without arguments, or an object.
        verify: The verifier of its answers, `vasari.verify.verify_answer`.

    Raises:
        AssertionError: A part of the contract is broken; the message says which, of which level and
            which question.
    """
    with _refused("no family"):
        made, again = (as_family(family, what="the family") for _ in range(2))
    for level in made.levels:
        where = f"family {made.name!r}, level {level}"
        problems = [_sample(made, level, seed) for seed in range(_NUM_PROBLEMS)]
        backwards = [_sample(again, level, seed) for seed in reversed(range(_NUM_PROBLEMS))]
        for problem, other in zip(problems, reversed(backwards), strict=True):
            _check_problem(problem, where)
            same = _facts(problem) == _facts(other)
            _require(
                same,
                f"{where}: one state of the generator gave two problems: {problem.question} /"
                f" {other.question}",
            )
        _check_scenes(problems, where)
        for problem in problems[:_NUM_SOLVED]:
            _check_reasoning(problem, where)
            _check_verdicts(problem, made, level, verify, where)
        for problem in problems[:_NUM_DRAWN]:
            _check_drawing(problem.scene, where)
    _check_pools(made)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Turn an error of Vasari's within the block into an AssertionError that says what failed."""
    try:
        yield
    except (ConfigError, DataError, TypeError) as error:
        raise AssertionError(f"{what}: {error}") from error


def _sample(family: Family, level: str, seed: int) -> Problem:
    try:
        problem = family.sample(np.random.default_rng(seed), level)
    except Exception as error:
        error.add_note(f"in {family.name}.sample(np.random.default_rng({seed}), {level!r})")
        raise
    _require(
        isinstance(problem, Problem),
        f"sample gave a {type(problem).__name__}, not a vasari.data.tasks.problem.Problem",
    )
    return problem


def _facts(problem: Problem) -> list[object]:
    """Return the parts of a problem, and its reasoning, by which two problems are compared."""
    thinker = Thinker(np.random.default_rng(0))
    found = problem.think(thinker)
    parts = [
        problem.scene_key,
        problem.question,
        problem.kind,
        problem.answer,
        problem.choices,
        problem.facts,
    ]
    return [*parts, repr(problem.scene), found, thinker.text()]


def _check_problem(problem: Problem, where: str) -> None:
    for part in ("scene_key", "question", "answer"):
        value = getattr(problem, part)
        _require(
            isinstance(value, str) and bool(value.strip()),
            f"{where}: {part} must be a text, got {value!r}",
        )
    at = f"{where} ({problem.question})"
    _require(
        problem.kind in get_args(AnswerKind),
        f"{at}: kind must be one of {get_args(AnswerKind)}, got {problem.kind!r}",
    )
    _require(
        (problem.kind == "choice") == bool(problem.choices),
        f"{at}: kind 'choice' and `choices` come together",
    )
    if problem.choices:
        letters = [chr(ord("A") + place) for place in range(len(problem.choices))]
        _require(
            len(letters) >= 2, f"{at}: a choice needs at least two options, got {problem.choices}"
        )
        _require(
            all(isinstance(text, str) for text in problem.choices),
            f"{at}: options must be texts, got {problem.choices}",
        )
        _require(
            len(set(problem.choices)) == len(letters),
            f"{at}: two options are the same: {problem.choices}",
        )
        _require(
            problem.answer in letters,
            f"{at}: the answer must be a letter of {letters}, got {problem.answer!r}",
        )
    _require(not problem.guessable, f"{at}: guessable is for prompts that are spoiled on purpose")
    told: dict[str, str] = {}
    for fact in problem.facts:
        texts = all(isinstance(text, str) and text.strip() for text in (fact.question, fact.answer))
        _require(texts, f"{at}: a fact needs a question and an answer, got {fact}")
        _require(
            told.setdefault(fact.question, fact.answer) == fact.answer,
            f"{at}: two answers to {fact.question!r}",
        )
    for mark in problem.scene.marks:
        inside = all(-1e-9 <= part <= 1 + 1e-9 for point in _corners(mark) for part in point)
        _require(
            inside, f"{at}: a mark leaves the picture, whose corners are (0, 0) and (1, 1): {mark}"
        )


def _corners(mark: Mark) -> list[Point]:
    match mark:
        case Line():
            return [mark.start, mark.end]
        case Polygon():
            return list(mark.points)
        case Disc() | Wedge():
            (x, y), reach = mark.centre, mark.radius
            return [(x - reach, y - reach), (x + reach, y + reach)]
        case Text():
            return [mark.at]


def _check_scenes(problems: Sequence[Problem], where: str) -> None:
    """Check that pictures are equal exactly when their scene keys, which decide the split, are."""
    scene_of: dict[str, str] = {}
    key_of: dict[str, str] = {}
    for problem in problems:
        key, scene = problem.scene_key, repr(problem.scene)
        _require(
            scene_of.setdefault(key, scene) == scene,
            f"{where}: two different pictures have the scene_key {key!r}",
        )
        other = key_of.setdefault(scene, key)
        _require(
            other == key,
            f"{where}: one picture has the scene_keys {other!r} and {key!r}, and could be in two"
            " splits",
        )
    found = {split_of(scene_digest(key)) for key in scene_of}
    missing = [split for split in _SPLITS if split not in found]
    _require(
        not missing,
        f"{where}: {len(problems)} problems show {len(scene_of)} scenes, none of them for the"
        f" {' and '.join(missing)} split; the scene must differ from problem to problem",
    )


def _check_reasoning(problem: Problem, where: str) -> None:
    at = f"{where} ({problem.question})"
    exact = Thinker(np.random.default_rng(0))
    found = problem.think(exact)
    _require(
        found == problem.answer,
        f"{at}: exact reasoning finds {found!r}, the answer is {problem.answer!r}",
    )
    _require(bool(exact.steps), f"{at}: think wrote no step; a demonstration needs one")
    for rate in (0.3, 1.0):
        slipping = Thinker(np.random.default_rng(1), slip_rate=rate)
        found = problem.think(slipping)
        _require(
            isinstance(found, str) and bool(found.strip()),
            f"{at}: reasoning with slips must end in a text, got {found!r}",
        )
        without = slipping.num_slips > 0 or found == problem.answer
        _require(
            without,
            f"{at}: reasoning that may slip and did not finds {found!r}, the answer is"
            f" {problem.answer!r}",
        )


def _check_verdicts(
    problem: Problem, family: Family, level: str, verify: Verify, where: str
) -> None:
    """Check that the verifier accepts the reference answer, also after reasoning, and no other."""
    at = f"{where} ({problem.question})"
    thinker = Thinker(np.random.default_rng(0))
    problem.think(thinker)

    def outcome(response: str) -> Outcome:
        return verify(response, problem.answer, problem.choices, problem.kind).outcome

    boxed = f"<answer>\\boxed{{{problem.answer}}}</answer>"
    for response in (
        problem.answer,
        f"<think>{thinker.text()}</think>{boxed}",
        f"{thinker.text()} {boxed}",
    ):
        found = outcome(response)
        _require(
            found is Outcome.CORRECT,
            f"{at}: the verifier finds {response!r} {found.value}, and the reference answer is"
            f" {problem.answer!r}; is it a {problem.kind}?",
        )
    with _refused(f"{at}: every problem has the same answer"):
        wrong = wrong_answer(problem, family=family, level=level, rng=np.random.default_rng(0))
    others = [chr(ord("A") + place) for place in range(len(problem.choices or ()))] or [wrong]
    for other in others:
        paid = other != problem.answer and outcome(f"\\boxed{{{other}}}") is Outcome.CORRECT
        _require(
            not paid,
            f"{at}: the verifier accepts {other!r}, and the reference answer is {problem.answer!r}",
        )


def _check_drawing(scene: Scene, where: str) -> None:
    for style in (*STYLES, HELD_OUT_STYLE):
        with _refused(f"{where}, style {style!r}"):
            picture = draw(scene, style=style)
        _require(
            picture == draw(scene, style=style),
            f"{where}, style {style!r}: one scene was drawn in two ways",
        )
        _require(
            picture != draw(Scene(()), style=style),
            f"{where}, style {style!r}: the picture is blank",
        )


def _check_pools(family: Family) -> None:
    """Check pools as recipes make them: deliberate mistakes, spoiled prompts, held-out style."""
    plain = PoolSettings(families=(family.name,), num_prompts=_NUM_PROMPTS, slip_rate=0.3)
    spoiled = replace(plain, wrong_label_share=0.25, guessable_share=0.25, unsolvable_share=0.25)
    unseen = replace(plain, styles=(HELD_OUT_STYLE,))
    pools: list[list[Prompt]] = []
    families = {family.name: family}
    for _ in range(2):
        with _refused("a pool cannot be made"):
            made = make_pool(spoiled, split="train", seed=3, families=families)
            pools.append(made + make_pool(unseen, split="test", seed=3, families=families))
    _require(pools[0] == pools[1], f"family {family.name!r}: two pools of one seed differ")
    for prompt in pools[0]:
        with _refused(f"prompt {prompt.id!r} cannot be stored"):
            json.dumps([prompt.metadata, prompt.question, prompt.answer, prompt.choices])
