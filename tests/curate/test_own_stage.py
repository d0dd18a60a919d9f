"""A stage of one's own: every row accounted for, errors in a line, done again when it changes,
placed where it was asked."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from vasari.core.errors import StateError
from vasari.core.files import read_json
from vasari.curate.check_stage import check_stage
from vasari.curate.own_stage import OwnStage, decided, run_stage
from vasari.curate.recipe import CheckSettings
from vasari.curate.run.checks import Checker
from vasari.curate.stage import Dropped, StageResult
from vasari.data.prompt_file import read_prompts
from vasari.records import ImageRef, Prompt

PROMPTS = [Prompt(id=f"p{n}", question="What?", answer=str(n)) for n in range(3)]

STAGE = """
import dataclasses
import os
import signal
from pathlib import Path

CALLS = []

def odd(prompts, keep=1):
    return [prompt if int(prompt.id.split("-")[-2]) % 2 == keep else "even" for prompt in prompts]

def named(prompts, label="x"):
    return [dataclasses.replace(prompt, metadata={**prompt.metadata, "label": label}) for prompt in prompts]

def noted(prompts):
    with Path("calls.txt").open("a") as file:
        file.write(f"{len(prompts)}\\n")
    if Path("kill").exists() and len(Path("calls.txt").read_text().split()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return list(prompts)

def breaks(prompts):
    return [1 / (int(prompt.id.split("-")[-2]) - 13) and prompt for prompt in prompts]

def loses(prompts):
    return prompts[1:]
"""


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


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Writes a module of the user's, which recipes may name, and gives its name."""

    def write(code: str) -> str:
        name = re.sub(r"\W", "_", tmp_path.name)
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("VASARI_PLUGINS", name)
        return name

    return write


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


@pytest.fixture
def curate(tmp_path):
    """Runs `vasari curate` on generated prompts with stages of the folder's module, in the
    folder."""
    (tmp_path / "my_stages.py").write_text(STAGE)

    def run(*stages, plugin=True, expect=0, out="out", options=()):
        recipe = {
            "name": "own",
            "sources": [
                {
                    "name": "maths",
                    "domain": "math",
                    "tasks": {"families": ["bars"], "num_prompts": 24},
                }
            ],
            "decontaminate": {"benchmarks": []},
            "sft": {},
            "rl": {"parts": [{"name": "maths", "target": 4}]},
            "shard_rows": 8,
            "stages": list(stages),
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        command = [sys.executable, "-m", "vasari", "curate", "recipe.yaml", "--out", out, *options]
        done = subprocess.run(
            [*command, *(["--plugin", "my_stages"] if plugin else [])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stderr
        return done.stderr if expect else tmp_path / out

    return run


def stage_rows(out: Path) -> list[tuple[str, str, int]]:
    return [
        (one["name"], one["branch"], sum(one["kept"].values()))
        for one in read_json(out / "funnel.json")["stages"]
    ]


@pytest.mark.slow
def test_stages_stand_where_they_were_placed_and_every_row_is_accounted_for(curate):
    out = curate(
        {"name": "my_stages:odd", "after": "check"},
        {"name": "my_stages:named", "after": "rl", "settings": {"label": "y"}},
    )
    names = [(name, branch) for name, branch, _ in stage_rows(out)]
    assert names.index(("odd", "both")) == names.index(("check", "both")) + 1
    assert names.index(("named", "rl")) == names.index(("balance", "rl")) - 1
    dropped = pq.read_table(out / "dropped.parquet").to_pylist()
    assert sum(row["stage"] == "odd" and row["reason"] == "even" for row in dropped) == 12
    assert [prompt.metadata["label"] for prompt in read_prompts(out / "rl.parquet")] == ["y"] * 4
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
    assert "not odd" in {
        row["reason"] for row in pq.read_table(changed / "dropped.parquet").to_pylist()
    }
    assert before == {path: path.stat().st_mtime_ns for path in read.rglob("*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            {"name": "my_stages:breaks"},
            "stage 'my_stages:breaks' raised on prompt 'train-curate-bars-",
        ),
        ({"name": "my_stages:loses"}, "was given 8 prompts and returned 7 decisions"),
        ({"name": "my_stages:nothing"}, "my_stages has no attribute 'nothing'"),
        (
            {"name": "my_stages:odd", "settings": {"kept": 1}},
            "got an unexpected keyword argument 'kept'",
        ),
        (
            {"name": "my_stages:odd", "settings": {"keep": float("nan")}},
            "settings that a file cannot hold",
        ),
        ({"name": "my_stages:CALLS"}, "is a list, which cannot be called"),
        ({"name": "my_stages:odd", "after": "balance"}, "Input should be 'read', 'check'"),
        (
            {"name": "my_stages:odd", "model": "asked", "after": "check"},
            "comes after every local stage",
        ),
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
    assert "which a recipe may not run by itself" in curate(
        {"name": "my_stages:odd"}, plugin=False, expect=1
    )


FILES = ("sft.parquet", "rl.parquet", "dropped.parquet", "funnel.json", "README.md")


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.mark.slow
def test_a_run_killed_inside_a_stage_goes_on_behind_its_last_shard(curate, tmp_path):
    stage = {"name": "my_stages:noted", "after": "check"}
    calls = tmp_path / "calls.txt"
    (tmp_path / "kill").touch()
    curate(stage, expect=-9)
    (tmp_path / "kill").unlink()
    killed = contents(curate(stage))
    # Shards of 8: the first was finished, the second was killed and begun again.
    assert calls.read_text().split() == ["8"] * 4
    curate(stage)
    assert len(calls.read_text().split()) == 4
    assert contents(curate(stage, out="whole")) == killed


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_several_workers_leave_the_files_of_one(curate, engine):
    if engine == "ray":
        pytest.importorskip("ray")
    stages = [
        {"name": "my_stages:odd", "after": "read"},
        {"name": "my_stages:named", "after": "sft"},
    ]
    one = contents(curate(*stages))
    assert (
        contents(curate(*stages, out="two", options=["--engine", engine, "--workers", "2"])) == one
    )
    broken = curate(
        {"name": "my_stages:breaks"},
        expect=1,
        out="three",
        options=["--engine", engine, "--workers", "2"],
    )
    assert "stage 'my_stages:breaks' raised on prompt 'train-curate-bars-" in broken


ASKING = """
from vasari.curate.ask.asking import ask_prompts, prompt_request

def agreed(prompts, model, word="yes"):
    found = ask_prompts(prompts, model, lambda prompt: prompt_request(prompt, model, system="Is it clear?"))
    decisions = []
    for index, prompt in enumerate(prompts):
        lost = found.dropped(index, prompt, failed="reader_failed")
        said = "" if lost else found.answers[index].responses[0].text
        decisions.append(lost.reason if lost else prompt if word in said else "unclear")
    return decisions
"""


def test_a_stage_that_asks_a_model_buys_each_answer_once(
    own_module, scripted_server, tmp_path, capsys
):
    pytest.importorskip("aiohttp")
    from vasari.cli.curate_job import EngineOptions, run_curate

    rows = [
        {"id": f"q{n}", "question": f"What is {n} + 2?", "answer": str(n + 2), "solution": "Add."}
        for n in range(6)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scripted_server.script = lambda body: (
        "no" if "What is 3" in scripted_server.text_of(body) else "yes"
    )
    recipe = {
        "name": "asked",
        "sources": [{"source": "jsonl", "folder": "."}],
        "models": {"reader": {"model": "small", "endpoint": {"base_url": scripted_server.url}}},
        "sft": {},
        "shard_rows": 4,
        "stages": [{"name": f"{own_module(ASKING)}:agreed", "after": "sft", "model": "reader"}],
    }
    path = tmp_path / "recipe.yaml"

    def run(dry: bool, **changes) -> str:
        path.write_text(yaml.safe_dump(recipe | changes))
        run_curate(path, tmp_path / "out", [], engine=EngineOptions(), dry=dry, retry_failed=False)
        return capsys.readouterr().out

    assert "agreed: asks 'reader'; how often is not known before it runs" in run(dry=True)
    assert scripted_server.bodies == []
    assert "unclear 1" in run(dry=False)
    assert len(scripted_server.bodies) == 6
    run(dry=False, stages=[{**recipe["stages"][0], "settings": {"word": "no"}}])
    assert len(scripted_server.bodies) == 6
    assert [
        prompt.id.rpartition("/")[2] for prompt in read_prompts(tmp_path / "out/sft.parquet")
    ] == ["q3"]
