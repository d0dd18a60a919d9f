"""A stage of one's own: every row accounted for, errors in a line, done again when it changes, placed where it was asked."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from vasari.curate.check_stage import check_stage
from vasari.curate.dropped import Dropped
from vasari.curate.own_stage import decided
from vasari.curate.stage import StageResult
from vasari.errors import StateError
from vasari.records import Prompt
from vasari.rundir import read_json

PROMPTS = [Prompt(id=f"p{n}", question="What?", answer=str(n)) for n in range(3)]

STAGE = """
import dataclasses

CALLS = []

def odd(prompts, keep=1):
    return [prompt if int(prompt.id.split("-")[-2]) % 2 == keep else "even" for prompt in prompts]

def named(prompts, label="x"):
    return [dataclasses.replace(prompt, metadata={**prompt.metadata, "label": label}) for prompt in prompts]

def breaks(prompts):
    return 1 / 0

def loses(prompts):
    return prompts[1:]
"""


def test_a_prompt_or_a_reason_for_each_is_a_decision():
    changed = dataclasses.replace(PROMPTS[1], category="kept")
    result = decided([PROMPTS[0], changed, "unwanted"], PROMPTS, stage="own")
    assert result.kept == (PROMPTS[0], changed)
    assert [(drop.index, drop.id, drop.reason) for drop in result.dropped] == [(2, "p2", "unwanted")]


def test_a_stage_result_is_a_decision():
    given = StageResult(
        kept=(PROMPTS[1],), dropped=(Dropped(index=2, id="p2", reason="b"), Dropped(index=0, id="p0", reason="a"))
    )
    assert [drop.reason for drop in decided(given, PROMPTS, stage="own").dropped] == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "was given 3 prompts and returned NoneType"),
        ("drop", "was given 3 prompts and returned str"),
        (PROMPTS[:2], "was given 3 prompts and returned 2 decisions"),
        ([*PROMPTS[:2], 7], "decided about 2 kept and 0 dropped"),
        ([*PROMPTS[:2], ""], "decided about 2 kept and 0 dropped"),
        (list(reversed(PROMPTS)), "changed the ids or the order"),
        ([dataclasses.replace(PROMPTS[0], id="q"), *PROMPTS[1:]], "changed the ids or the order"),
        (StageResult(kept=(PROMPTS[0],), dropped=()), "must decide about each exactly once"),
    ],
)
def test_anything_else_is_one_line(said, message):
    with pytest.raises(StateError, match=message):
        decided(said, PROMPTS, stage="own")


def one_by_one(prompts):
    return ["first" if place == 0 else prompt for place, prompt in enumerate(prompts)]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (one_by_one, "depends on the prompts beside it"),
        (lambda prompts: prompts[1:], "returned 5 decisions"),
        (lambda prompts: [prompt.metadata.clear() or prompt for prompt in prompts], "were changed"),
    ],
)
def test_a_broken_stage_is_named(stage, message):
    with pytest.raises(AssertionError, match=message):
        check_stage(stage)


@pytest.fixture
def curate(tmp_path):
    """Runs `vasari curate` on generated prompts with stages of the folder's module, in the folder."""
    (tmp_path / "my_stages.py").write_text(STAGE)

    def run(*stages, plugin=True, expect=0):
        recipe = {
            "name": "own",
            "sources": [{"name": "maths", "domain": "math", "tasks": {"families": ["bars"], "num_prompts": 24}}],
            "decontaminate": {"benchmarks": []},
            "sft": {},
            "rl": {"parts": [{"name": "maths", "target": 4}]},
            "shard_rows": 8,
            "stages": list(stages),
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        command = [sys.executable, "-m", "vasari", "curate", "recipe.yaml", "--out", "out"]
        done = subprocess.run(
            [*command, *(["--plugin", "my_stages"] if plugin else [])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stderr
        return done.stderr if expect else tmp_path / "out"

    return run


def stage_rows(out: Path) -> list[tuple[str, str, int]]:
    return [(one["name"], one["branch"], sum(one["kept"].values())) for one in read_json(out / "funnel.json")["stages"]]


@pytest.mark.slow
def test_stages_stand_where_they_were_placed_and_every_row_is_accounted_for(curate):
    out = curate(
        {"name": "my_stages:odd", "after": "check"}, {"name": "my_stages:named", "after": "rl", "settings": {"label": "y"}}
    )
    names = [(name, branch) for name, branch, _ in stage_rows(out)]
    assert names.index(("odd", "both")) == names.index(("check", "both")) + 1
    assert names.index(("named", "rl")) == names.index(("balance", "rl")) - 1
    dropped = pq.read_table(out / "dropped.parquet").to_pylist()
    assert sum(row["stage"] == "odd" and row["reason"] == "even" for row in dropped) == 12
    labels = [row["metadata"] for row in pq.read_table(out / "rl.parquet").to_pylist()]
    assert len(labels) == 4
    assert all('"label": "y"' in str(label) or "label" in str(label) for label in labels)
    assert "odd" in (out / "README.md").read_text()


@pytest.mark.slow
def test_a_changed_setting_or_function_is_done_again_and_nothing_else(curate, tmp_path):
    out = curate({"name": "my_stages:odd", "after": "check"})
    read = next((out / "stages").glob("00-read"))
    before = {path: path.stat().st_mtime_ns for path in read.rglob("*.parquet")}
    kept = {name: num for name, _, num in stage_rows(out)}
    again = curate({"name": "my_stages:odd", "after": "check", "settings": {"keep": 2}})
    assert {name: num for name, _, num in stage_rows(again)}["odd"] == 0 != kept["odd"]
    (tmp_path / "my_stages.py").write_text(STAGE.replace('"even"', '"not odd"'))
    changed = curate({"name": "my_stages:odd", "after": "check"})
    assert "not odd" in {row["reason"] for row in pq.read_table(changed / "dropped.parquet").to_pylist()}
    assert before == {path: path.stat().st_mtime_ns for path in read.rglob("*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"name": "my_stages:breaks"}, "stage 'my_stages:breaks' raised ZeroDivisionError on prompts 'train-curate-bars-"),
        ({"name": "my_stages:loses"}, "was given 8 prompts and returned 7 decisions"),
        ({"name": "my_stages:nothing"}, "my_stages has no attribute 'nothing'"),
        ({"name": "my_stages:odd", "settings": {"kept": 1}}, "got an unexpected keyword argument 'kept'"),
        ({"name": "my_stages:CALLS"}, "is a list, which cannot be called"),
        ({"name": "my_stages:odd", "after": "balance"}, "Input should be 'read', 'check'"),
        ({"name": "my_stages:odd", "model": "asked", "after": "check"}, "comes after every local stage"),
    ],
)
def test_a_stage_that_does_not_fit_is_one_line(curate, stage, message):
    said = curate(stage, expect=1)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_stage_of_a_package_that_was_not_allowed_is_refused(curate):
    assert "which a recipe may not run by itself" in curate({"name": "my_stages:odd"}, plugin=False, expect=1)
