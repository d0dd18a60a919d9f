"""Folders of others that a command that takes --out must not write into."""

import json
import os
from importlib import resources
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.errors import StateError, VasariError
from vasari.evaluate.compare import compare_folders
from vasari.evaluate.rescore import rescore
from vasari.evaluate.rescore_settings import RescoreSettings
from vasari.run.folder import open_run
from vasari.run.recipe import load_recipe

QUICKSTART = Path(str(resources.files("vasari") / "assets" / "recipes" / "quickstart_tiny.yaml"))


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"mine: {name}")


FOREIGN = {
    "weights of his own": ["cold_start/model/model.safetensors", "rl/vas/checkpoint-5/x"],
    "a paper": ["paper.tex", "evaluation/table.tex"],
    "a curation": ["stages/00-read/begun.json", "manifest.json", ".lock"],
    "settings of another tool": ["settings.json", "prompts/train.parquet"],
    "one hidden file": [".gitignore"],
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_run_is_not_begun_in_a_folder_of_others(tmp_path, what):
    put(tmp_path, *FOREIGN[what])
    before = tree(tmp_path)
    with pytest.raises(StateError, match="choose another --out"):
        open_run(load_recipe(QUICKSTART, []), tmp_path)
    assert tree(tmp_path) == before


def test_a_run_that_was_killed_at_its_very_start_goes_on(tmp_path):
    (tmp_path / ".settings.json.12.tmp").write_text("{")
    open_run(load_recipe(QUICKSTART, []), tmp_path)
    assert (tmp_path / "settings.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["quickstart", "--tiny", "--from-scratch", "--out", "theirs"],
        ["sft", str(QUICKSTART), "--out", "theirs"],
        ["train", str(QUICKSTART), "--out", "theirs"],
        ["train", str(QUICKSTART), "--out", "theirs", "--shrink"],
        ["ablate", str(QUICKSTART), "--out", "theirs"],
    ],
)
def test_commands_refuse_it_in_a_line(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "theirs", "cold_start/model/weights", "0/rl/notes.txt", "notes.txt")
    before = tree(tmp_path)
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert isinstance(done.exception, VasariError | SystemExit)
    assert "--out" in f"{done.output} {done.exception}"
    assert tree(tmp_path) == before


NAMES = ["../../x", "..", ".", "", "/abs/x", "CON", "dots.", "a\\..\\b", "x" * 300, "a/../../../b"]


@pytest.mark.parametrize(
    ("command", "name"),
    [*((command, name) for command in ("sft", "curate") for name in NAMES)]
    + [(command, "../../x") for command in ("evaluate", "train", "plan")],
)
def test_a_recipes_name_leads_nowhere_but_below_runs(tmp_path, monkeypatch, name, command):
    work = tmp_path / "a" / "b" / "c"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    content = yaml.safe_load(QUICKSTART.read_text()) | {"name": name}
    if command == "curate":
        content = {
            "name": name,
            "sources": [{"tasks": {"families": ["bars"], "num_prompts": 2}}],
            "sft": {},
        }
    (work / "recipe.yaml").write_text(yaml.safe_dump(content))
    before = tree(tmp_path)
    done = CliRunner().invoke(app, [command, "recipe.yaml"])
    assert done.exit_code != 0
    assert "name" in f"{done.output} {done.exception}"
    assert isinstance(done.exception, VasariError | SystemExit)
    assert tree(tmp_path) == before
    assert os.listdir(work) == ["recipe.yaml"]  # noqa: PTH208


def rescoring(folder):
    row = {"id": "1", "benchmark": "mathvista", "response": "\\boxed{4}", "answer": "4"}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    return RescoreSettings(files=(folder / "rows.jsonl",), protocols=("vasari",))


@pytest.mark.parametrize("name", ["scores.json", "bad_rows.jsonl", "verdicts-mine.jsonl"])
def test_rescoring_removes_no_result_of_others(tmp_path, name):
    put(tmp_path / "out", name)
    before = tree(tmp_path / "out")
    with pytest.raises(VasariError, match="choose another --out"):
        rescore(rescoring(tmp_path), tmp_path / "out")
    assert tree(tmp_path / "out") == before


def test_a_comparison_replaces_no_table_of_others(tmp_path):
    put(tmp_path, "table.tex")
    with pytest.raises(VasariError, match="is there, and of no comparison; choose another --out"):
        compare_folders([tmp_path, tmp_path], out=tmp_path)
    assert (tmp_path / "table.tex").read_text() == "mine: table.tex"
