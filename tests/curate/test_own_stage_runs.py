"""A stage of one's own in a run: placed where it was asked, done again when it changes, and its errors
in a line."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from vasari.core.files import read_json
from vasari.data.prompt_file import read_prompts

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
    # Nothing is left, which has an exit code of its own.
    curate({"name": "my_stages:odd", "after": "check", "settings": {"keep": 2}}, expect=4)
    assert {name: num for name, _, num in stage_rows(out)}["odd"] == 0 != kept["odd"]
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
            "stage 'my_stages:breaks' raised on prompt 'maths/train-curate-bars-",
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


@pytest.mark.heavy
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
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.heavy)])
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
    assert "stage 'my_stages:breaks' raised on prompt 'maths/train-curate-bars-" in broken


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
    from vasari.cli.curate_job import run_curate

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
        run_curate(path, tmp_path / "out", [], dry=dry)
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
