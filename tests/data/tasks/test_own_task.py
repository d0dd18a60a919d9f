"""A task family of a user's: what its checker finds, and that its prompts work wherever ours do."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.core.plugins import VARIABLE
from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.data.tasks.check import check_task_family
from vasari.data.tasks.families import FAMILIES, find_family
from vasari.data.tasks.gallery import write_gallery
from vasari.data.tasks.pool import PoolSettings, check_disjoint, make_pool
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Scene, Text
from vasari.data.tasks.styles import HELD_OUT_STYLE
from vasari.records import Outcome, Prompt, Verdict
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
        AssertionError, match=r"the verifier pays '\w+', and the reference answer is"
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
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_ours_passes(name):
    check_task_family(FAMILIES[name], verify_answer)


# By name.


@pytest.fixture
def own_task(monkeypatch):
    """`own_task:Discs` of the examples can be named, also in a file."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv(VARIABLE, "own_task")
    return "own_task:Discs"


def write_module(folder: Path, text: str) -> None:
    (folder / "my_tasks.py").write_text(text)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "x = 1",
            "my_tasks:x",
            "task 'my_tasks:x' is a int without name, levels, sample, which a family has",
        ),
        (
            "class X:\n    name = 'x'",
            "my_tasks:X",
            "task 'my_tasks:X' is a X without levels, sample",
        ),
        (
            "class X:\n    def __init__(self, n): ...",
            "my_tasks:X",
            "task 'my_tasks:X' needs the setting 'n'",
        ),
        (
            "class X:\n    def __init__(self): 1 / 0",
            "my_tasks:X",
            "task 'my_tasks:X' cannot be made: ZeroDivisionError: division by zero",
        ),
        ("", "my_tasks:X", "task 'my_tasks:X': my_tasks has no attribute 'X'"),
        (
            "",
            "spheres",
            (
                "task must be one of bars, clocks, .*, or your own as package.module:attribute; got"
                " 'spheres'"
            ),
        ),
    ],
)
def test_a_name_that_is_no_family_is_one_line(tmp_path, monkeypatch, text, name, message):
    write_module(tmp_path, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_tasks", raising=False)
    with pytest.raises(ConfigError, match=message):
        find_family(name)
    monkeypatch.delitem(sys.modules, "my_tasks", raising=False)


def test_two_families_of_one_name_are_refused_in_one_pool():
    clone = type("Clone", (Sums,), {"name": "bars"})()
    settings = PoolSettings(families=("bars", "mine:Bars"), num_prompts=2)
    with pytest.raises(
        ConfigError, match="families bars and mine:Bars are both called 'bars'; rename one"
    ):
        make_pool(
            settings, split="train", seed=0, families={"bars": FAMILIES["bars"], "mine:Bars": clone}
        )


# Everywhere ours work.


def pool(name: str, num_prompts: int = 30, *, split: str = "train", **fields) -> list[Prompt]:
    settings = PoolSettings(
        **{"families": ("bars", name), "num_prompts": num_prompts, "image_size": 56} | fields
    )
    return make_pool(settings, split=split, seed=5)


def test_its_prompts_take_turns_with_ours_and_their_ids_name_it(own_task):
    made = pool(own_task)
    assert Counter(prompt.category for prompt in made) == {"bars": 15, "discs": 15}
    second = made[1]
    assert second.id == f"train-rl-discs-{second.difficulty}-00001-{second.metadata['scene'][:8]}"
    assert len({prompt.id for prompt in made}) == 30


def test_its_splits_share_no_picture_and_the_held_out_style_is_drawn(own_task):
    unseen = pool(own_task, 6, split="test", styles=(HELD_OUT_STYLE,))
    check_disjoint(
        train=pool(own_task),
        validation=pool(own_task, split="validation"),
        test=pool(own_task, split="test") + unseen,
    )
    assert {prompt.metadata["style"] for prompt in unseen} == {HELD_OUT_STYLE}


def test_the_shape_of_dynamath_weighs_its_levels(own_task):
    levels = Counter(
        prompt.difficulty for prompt in pool(own_task, 200, families=(own_task,), shape="dynamath")
    )
    # Levels 1 and 2 of three: 0.327 and 0.165 of DynaMath, of their sum.
    assert levels["1"] / 200 == pytest.approx(0.327 / 0.492, abs=0.1)
    assert set(levels) == {"1", "2"}


def test_a_family_without_a_weighted_level_is_named():
    easy = type("Easy", (Sums,), {"levels": ("easy",)})()
    settings = PoolSettings(families=("mine:Easy",), num_prompts=2, shape="dynamath")
    with pytest.raises(
        ConfigError, match=r"family 'sums' has levels \('easy',\), and none has a weight in {'1'"
    ):
        make_pool(settings, split="train", seed=0, families={"mine:Easy": easy})


def test_its_demonstrations_slip_and_its_prompts_are_spoiled_in_the_numbers_asked_for(own_task):
    made = pool(own_task, 100, families=(own_task,), slip_rate=0.5)
    slipped = [prompt for prompt in made if prompt.metadata["final"] != prompt.answer]
    assert 20 < len(slipped) < 100
    assert all(prompt.metadata["slips"] for prompt in slipped)
    shares = {"wrong_label_share": 0.2, "guessable_share": 0.1, "unsolvable_share": 0.1}
    spoiled = Counter(
        prompt.metadata["imperfection"]
        for prompt in pool(own_task, 100, families=(own_task,), **shares)
    )
    assert spoiled == {None: 60, "wrong_label": 20, "guessable": 10, "unsolvable": 10}


def test_its_prompts_are_stored_and_read_as_they_were(own_task, tmp_path):
    made = pool(own_task)
    write_prompts(tmp_path / "pool.parquet", made)
    assert read_prompts(tmp_path / "pool.parquet") == made
    assert json.loads(json.dumps(made[1].metadata)) == made[1].metadata


def test_the_gallery_shows_it(own_task, tmp_path):
    write_gallery(tmp_path / "gallery.html", {own_task: find_family(own_task)}, per_level=1)
    page = (tmp_path / "gallery.html").read_text()
    assert "How many more discs of one size than of the other?" in page
    assert "own_task:Discs" in page


DRAW = """
import multiprocessing
from vasari.data.tasks.pool import PoolSettings, make_pool

def ids(number):
    settings = PoolSettings(families=("own_task:Discs",), num_prompts=4, image_size=56)
    return [prompt.id for prompt in make_pool(settings, split="train", seed=number)]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(ids, [5, 6]) == [ids(5), ids(6)]
        print(ids(5))
"""


@pytest.mark.slow
def test_a_spawned_process_draws_the_same_prompts(own_task, tmp_path):
    script = tmp_path / "draw.py"
    script.write_text(DRAW)
    drawn = [
        subprocess.run(
            [sys.executable, str(script)],
            cwd=EXAMPLES,
            env={**os.environ, "PYTHONPATH": str(EXAMPLES), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert (
        drawn[0]
        == drawn[1]
        == f"{[prompt.id for prompt in pool(own_task, 4, families=(own_task,))]}\n"
    )
