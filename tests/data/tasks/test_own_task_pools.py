"""Prompts of a user's task family work wherever ours do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from vasari.core.errors import ConfigError
from vasari.core.plugins import VARIABLE
from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.data.tasks.families import FAMILIES, find_family
from vasari.data.tasks.families.base import LeveledFamily
from vasari.data.tasks.gallery import write_gallery
from vasari.data.tasks.pool import PoolSettings, check_disjoint, make_pool
from vasari.data.tasks.styles import HELD_OUT_STYLE
from vasari.records import Prompt

EXAMPLES = Path(__file__).parents[3] / "examples"


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
    clone = LeveledFamily("bars", {"1": lambda rng: FAMILIES["dice"].sample(rng, "1")})
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
    easy = LeveledFamily("sums", {"easy": lambda rng: FAMILIES["dice"].sample(rng, "1")})
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
