"""A stage of one's own: every row accounted for, errors in a line, done again when it changes,
placed where it was asked."""

import dataclasses
import re

import numpy as np
import pytest

from vasari.core.errors import StateError
from vasari.curate.check_stage import check_stage
from vasari.curate.own_stage import OwnStage, decided, run_stage
from vasari.curate.recipe import CheckSettings
from vasari.curate.run.checks import Checker
from vasari.curate.stage import Dropped, StageResult
from vasari.records import ImageRef, Prompt

PROMPTS = [Prompt(id=f"p{n}", question="What?", answer=str(n)) for n in range(3)]


def test_a_prompt_or_a_reason_for_each_is_a_decision():
    changed = dataclasses.replace(PROMPTS[1], category="kept")
    result = decided([PROMPTS[0], changed, "unwanted"], PROMPTS, stage="own")
    assert result.kept == (PROMPTS[0], changed)
    assert [(drop.index, drop.id, drop.reason) for drop in result.dropped] == [
        (2, "p2", "unwanted")
    ]


def test_a_stage_result_is_a_decision():
    given = StageResult(
        kept=(PROMPTS[1],),
        dropped=(Dropped(index=2, id="p2", reason="b"), Dropped(index=0, id="p0", reason="a")),
    )
    assert [drop.reason for drop in decided(given, PROMPTS, stage="own").dropped] == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "was given 3 prompts and returned NoneType"),
        ("drop", "was given 3 prompts and returned str"),
        (PROMPTS[:2], "was given 3 prompts and returned 2 decisions"),
        ([*PROMPTS[:2], 7], "prompt 'p2': a decision is a Prompt or a reason as text, got int"),
        (
            [*PROMPTS[:2], " "],
            "prompt 'p2': a decision is a Prompt or a reason as text, got an empty reason",
        ),
        (list(reversed(PROMPTS)), "changed the ids or the order"),
        ([dataclasses.replace(PROMPTS[0], id="q"), *PROMPTS[1:]], "changed the ids or the order"),
        (StageResult(kept=(PROMPTS[0],), dropped=()), "must decide about each exactly once"),
        (
            StageResult(kept=("p0", "p1", "p2"), dropped=()),
            "returned a StageResult that is not one",
        ),
        (
            StageResult(kept=tuple(PROMPTS), dropped=(), counts={"mean": 0.5}),
            "`counts` holds whole numbers by name",
        ),
        (
            StageResult(kept=tuple(PROMPTS[:2]), dropped=(Dropped(index=2, id="p1", reason="a"),)),
            "do not belong together",
        ),
        (
            StageResult(kept=tuple(PROMPTS[:2]), dropped=(Dropped(index=9, id="p9", reason="a"),)),
            "that it was not given",
        ),
    ],
)
def test_anything_else_is_one_line(said, message):
    with pytest.raises(StateError, match=message):
        decided(said, PROMPTS, stage="own")


SEEN = Prompt(
    id="seen",
    question="What?",
    answer="1",
    images=(ImageRef(path="a.png"),),
    metadata={"source": "quiz", "rl_part": "all"},
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ()}, "its images were changed"),
        ({"answer": 3}, "answer is no text but a int"),
        ({"choices": ("1", 2)}, r"choices\[1\] is no text but a int"),
        ({"question": " "}, "question is empty"),
        ({"answer": ""}, "answer is empty"),
        (
            {"kind": "numeric"},
            "kind must be one of number, choice, text, set, expression, got 'numeric'",
        ),
        ({"metadata": SEEN.metadata | {"score": np.float32(1)}}, "a file cannot hold it"),
        ({"metadata": SEEN.metadata | {"score": float("nan")}}, "a file cannot hold it"),
        ({"question": "\ud800"}, "a file cannot hold it"),
        ({"metadata": {"num_words": 1}}, r"metadata\['source'\] was changed or lost"),
        (
            {"metadata": SEEN.metadata | {"rl_part": "other"}},
            r"metadata\['rl_part'\] was changed or lost",
        ),
    ],
)
def test_a_change_that_no_row_can_hold_names_the_prompt(changes, message):
    with pytest.raises(StateError, match=f"stage 'own', prompt 'seen': {message}"):
        decided([dataclasses.replace(SEEN, **changes)], [SEEN], stage="own")


def test_a_reason_is_one_line_that_a_table_can_hold():
    (drop,) = decided(["too\nlong \ud800"], [SEEN], stage="own").dropped
    assert drop.reason == "too long ?"


def test_a_long_reason_is_cut_since_tables_show_it():
    (drop,) = decided(["why " * 100], [SEEN], stage="own").dropped
    assert drop.reason == "why " * 19 + "w..."


def test_what_a_source_left_in_the_metadata_is_not_held_against_a_stage():
    given = dataclasses.replace(SEEN, metadata={"source": "quiz", "score": float("nan")})
    changed = dataclasses.replace(given, category="sums", metadata={**given.metadata, "label": "x"})
    assert decided([changed], [given], stage="own").kept == (changed,)


def one_by_one(prompts):
    return ["first" if place == 0 else prompt for place, prompt in enumerate(prompts)]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (one_by_one, "depends on the prompts beside it"),
        (lambda prompts: prompts[1:], "returned 5 decisions"),
        (lambda prompts: [prompts[0], *prompts[1:]], "it raised IndexError on the prompts \\[\\]"),
        (
            lambda prompts: [prompt.solution.upper() and prompt for prompt in prompts],
            "it raised AttributeError on the prompts",
        ),
        (
            lambda prompts, seen=[]: [seen.append(1) or f"call {len(seen)}" for _ in prompts],
            "decided about in two ways",
        ),
        (
            lambda prompts: [
                dataclasses.replace(prompt, id=prompt.id.upper()) for prompt in prompts
            ],
            "changed the ids",
        ),
        (lambda prompts: [prompt.metadata.clear() or prompt for prompt in prompts], "were changed"),
        (
            lambda prompts: [f"one of {len(prompts)}" for _ in prompts],
            "depends on the prompts beside it",
        ),
    ],
)
def test_a_broken_stage_is_named(stage, message):
    with pytest.raises(AssertionError, match=message):
        check_stage(stage)


def test_our_own_checks_pass_the_checker_of_stages():
    check_stage(Checker(CheckSettings()).check)


def test_the_one_prompt_on_which_a_stage_raises_is_named_on_one_line(own_module):
    name = own_module(
        "def picky(prompts):\n    return [9 / int(prompt.answer) and prompt for prompt in"
        " prompts]\n"
    )
    stage = OwnStage(name=f"{name}:picky")
    prompts = [Prompt(id=f"p{n}", question="What?", answer=str(n - 37)) for n in range(100)]
    with pytest.raises(
        StateError,
        match=rf"^stage '{name}:picky' raised on prompt 'p37': ZeroDivisionError: [^\n]*$",
    ):
        run_stage(stage, prompts)


def test_what_a_stage_changes_in_place_counts_as_its_change(own_module):
    name = own_module(
        "def clears(prompts):\n    return [prompt.metadata.clear() or prompt for prompt in"
        " prompts]\n"
    )
    with pytest.raises(
        StateError, match=r"prompt 'seen': metadata\['source'\] was changed or lost"
    ):
        run_stage(OwnStage(name=f"{name}:clears"), [SEEN])


def test_a_stage_is_another_one_when_anything_in_its_file_changes(own_module):
    code = (
        "LIMIT = 3\n\ndef short(prompts):\n    return ['long' if len(p.question) > LIMIT else p for"
        " p in prompts]\n"
    )
    stage = OwnStage(name=f"{own_module(code)}:short")
    before = stage.identity()
    assert stage.identity() == before
    own_module(code.replace("LIMIT = 3", "LIMIT = 4"))
    assert stage.identity() != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "grade",
            "named as package.module:function, got 'grade' (grade is one of ours, set by grade)",
        ),
        ("short", "named as package.module:function, got 'short' (ours have other keys)"),
        (
            "my_stages:check",
            "stage 'my_stages:check' is called like our stage 'check'; rename the function",
        ),
    ],
)
def test_a_name_of_ours_is_refused(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        OwnStage(name=name)
