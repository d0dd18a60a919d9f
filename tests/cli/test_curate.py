"""`vasari curate` from the command line: what it says, what it refuses, and what it leaves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.cli.main import main
from vasari.data.prompt_file import read_prompts

ROOT = Path(__file__).parents[2]
TASKS = {"tasks": {"families": ["dice"], "num_prompts": 6, "image_size": 56}, "domain": "math"}


@pytest.fixture
def vasari(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command and returns its exit code, what it printed, and what it complained of."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vasari", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def recipe(tmp_path) -> Callable[..., Path]:
    def write(**changes: object) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({"name": "few", "sources": [TASKS], "sft": {}} | changes))
        return path

    return write


@pytest.mark.slow
def test_generated_prompts_are_curated_without_any_data_or_server(vasari, recipe, tmp_path):
    part = {"name": "some", "target": 4}

    code, out, err = vasari("curate", recipe(rl={"parts": [part]}), "--out", tmp_path / "run")

    assert code == 0
    assert "rl.parquet: 4 prompts" in out
    assert "NOT DECONTAMINATED" in err
    assert len(read_prompts(tmp_path / "run" / "rl.parquet")) == 4
    assert all(prompt.solution for prompt in read_prompts(tmp_path / "run" / "sft.parquet"))
    assert (
        json.loads((tmp_path / "run" / "manifest.json").read_text())["sets"]["rl"]["prompts"] == 4
    )


@pytest.mark.slow
def test_two_runs_are_told_apart_by_settings_prompts_and_reasons(vasari, recipe, tmp_path):
    for name, target in (("a", 4), ("b", 2)):
        vasari(
            "curate",
            recipe(rl={"parts": [{"name": "some", "target": target}]}),
            "--out",
            tmp_path / name,
        )

    code, out, _ = vasari("curate-diff", tmp_path / "a", tmp_path / "b")

    assert code == 0
    lines = [line.strip() for line in out.splitlines()]
    assert "rl.parts.0.target: 4 -> 2" in lines
    assert "rl.parquet: 4 -> 2 prompts; 0 added, 2 removed" in lines
    assert "removed: balance: over_quota 2" in lines
    assert "rl, balance: over_quota: 2 -> 4" in lines
    assert "sft.parquet: 6 -> 6 prompts; 0 added, 0 removed" in lines


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": []}, "sources: List should have at least 1 item"),
        ({"sources": [TASKS, TASKS]}, "two sources are called the same"),
        ({"sources": [{"source": "jsonl"}]}, "a `source` needs a `folder`"),
        (
            {"sources": [{"source": "jsonl", "folder": "nowhere"}]},
            "nowhere: there is no such folder",
        ),
        ({"sources": [{"source": "nothing", "folder": "x"}]}, "there is no source 'nothing'"),
        ({"sources": [{"source": "mathvision", "folder": "x"}]}, "published for testing alone"),
        (
            {"sources": [{"source": "jsonl", "folder": "${VASARI_NOT_SET}/x"}]},
            "VASARI_NOT_SET is not set",
        ),
        ({"grade": {"model": "big"}}, "grade asks model 'big', and `models` has []"),
        ({"grade": {}}, "give either `model` (who answers) or `verdicts`"),
        ({"sft": {"bins": ["hard"]}}, "sft wants bins, and there is no `grade`"),
        ({"sft": None}, "nothing to make"),
        (
            {"rl": {"parts": [{"name": "m", "target": 1, "rephrase": True}]}},
            "there is no `rephrase` beside `parts`",
        ),
        ({"preset": "papr"}, "there is no preset 'papr'; there are paper-sft, paper-rl"),
        ({"preset": "paper-sft"}, "grade asks model 'grader'"),
        ({"checks": {"min_sides": 3}}, "unknown key 'checks.min_sides'"),
        (
            {"decontaminate": {"benchmarks": [{"source": "jsonl", "folder": "gone"}]}},
            "gone: there is no such folder",
        ),
        ({"grade": {"verdicts": "none.jsonl"}}, "none.jsonl: there is no such file"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused_in_one_line(
    vasari, recipe, tmp_path, changes, said
):
    code, _, err = vasari("curate", recipe(**changes), "--out", tmp_path / "run")

    assert code == 1
    assert said in err
    assert "Traceback" not in err


def test_an_engine_that_does_not_exist_is_refused(vasari, recipe, tmp_path):
    code, _, err = vasari("curate", recipe(), "--out", tmp_path / "run", "--engine", "slurm")

    assert code == 1
    assert "--engine must be local" in err


def test_a_folder_without_a_curation_has_no_difference(vasari, tmp_path):
    code, _, err = vasari("curate-diff", tmp_path, tmp_path)

    assert code == 1
    assert "holds no finished curation" in err


def test_licences_that_are_not_wanted_are_dropped_by_pattern(vasari, recipe, tmp_path):
    code, out, err = vasari(
        "curate", recipe(checks={"not_licences": ["apache*"]}), "--out", tmp_path / "run"
    )

    assert code == 4
    assert "no set has a prompt" in err
    assert "no prompt is left for sft.parquet" in out
    assert not (tmp_path / "run" / "sft.parquet").exists()


def test_published_verdicts_grade_prompts_in_place_of_a_model(vasari, recipe, tmp_path):
    verdicts = {"a": [1, 1, 1, 1], "b": [1, 0, 1, 0], "c": [0, 0, 0, None], "d": []}
    (tmp_path / "verdicts.jsonl").write_text(
        "".join(
            json.dumps({"id": f"jsonl/{name}", "verdicts": values}) + "\n"
            for name, values in verdicts.items()
        )
    )
    (tmp_path / "data").mkdir()
    lines = [
        {"id": name, "question": f"What is {n} + {n}?", "answer": str(2 * n)}
        for n, name in enumerate(verdicts, 3)
    ]
    (tmp_path / "data" / "train.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    source = {"source": "jsonl", "folder": "data"}
    path = recipe(
        sources=[source],
        grade={"verdicts": "verdicts.jsonl"},
        sft=None,
        rl={"parts": [{"name": "m", "target": 9}]},
    )

    code, _, _ = vasari("curate", path, "--out", tmp_path / "run")

    assert code == 0
    kept = {
        prompt.id: prompt.difficulty for prompt in read_prompts(tmp_path / "run" / "rl.parquet")
    }
    assert kept == {"jsonl/b": "medium", "jsonl/c": "hard"}


@pytest.mark.slow
@pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA")
def test_dynamaths_published_pass_rates_give_the_papers_bins(vasari, recipe, tmp_path):
    import csv

    data = Path(os.environ["VASARI_DATA"]) / "dynamath"
    with (
        (data / "pass_rates" / "Qwen2-7B-result.csv").open() as file,
        (tmp_path / "verdicts.jsonl").open("w") as out,
    ):
        for row in csv.DictReader(file):
            values = [1 if row[f"Variant {n}"] == "correct" else 0 for n in range(1, 11)]
            name = row["Question ID"].removeprefix("Q")
            out.write(json.dumps({"id": f"dynamath/{name}", "verdicts": values}) + "\n")
    path = recipe(
        sources=[{"source": "dynamath", "folder": str(data), "allow_test": True}],
        duplicates=None,
        checks={"self_verifying": False},
        grade={"verdicts": "verdicts.jsonl", "keep": ["easy", "medium", "hard"]},
        sft=None,
        rl={"parts": [{"name": "all", "target": 501}]},
    )

    vasari("curate", path, "--out", tmp_path / "run")

    stages = json.loads((tmp_path / "run" / "funnel.json").read_text())["stages"]
    # The count of Qwen2-VL-7B on 501 questions x 10 variants.
    assert next(stage for stage in stages if stage["name"] == "grade")["notes"] == {
        "bin_easy": 130,
        "bin_medium": 155,
        "bin_hard": 216,
    }
