"""`--plugin` and `vasari plugins`: what can be named, and code of one's own that works without a
line in `src/`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.plugins import KINDS, VARIABLE
from vasari.data.prompt_file import read_prompts
from vasari.data.tasks.families import FAMILIES
from vasari.sample import SAMPLER_NAMES
from vasari.train.group_file import read_groups

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = Path(sys.executable).with_name("vasari")
"""Installed beside Python; unlike `python -m`, it has not the working folder on its path."""

NAMING = ("quickstart", "sft", "train", "evaluate", "rescore", "curate", "gallery", "plugins")
"""Commands that read a recipe or name one of ours."""


def run(
    folder: Path, *words: object, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND)] if COMMAND.exists() else [sys.executable, "-m", "vasari"]
    done = subprocess.run(
        [*command, *map(str, words)],
        cwd=folder,
        env={**os.environ, VARIABLE: "", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("command", NAMING)
def test_the_help_of_a_command_that_names_something_shows_the_option_with_an_example(command):
    shown = (
        CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    )
    words = " ".join(re.sub(r"[│]", " ", shown).split())
    assert (
        "--plugin PACKAGE Let a recipe name code of this package as PACKAGE.module:attribute, e.g."
        " --plugin my_package" in words
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my-package", "my_package:Mine", "a/b", ""])
def test_a_plugin_that_is_no_package_is_one_line(tmp_path, name):
    done = run(tmp_path, "gallery", "--plugin", name, code=1)
    (line,) = done.stderr.splitlines()
    assert (
        line
        == "error: a plugin is named like a package, e.g. my_package or my_package.rewards; got"
        f" {name!r}"
    )


# What can be named.


@pytest.fixture
def offered(tmp_path) -> Path:
    """A distribution as pip unpacks it, with an offer of every kind; its modules leave a file when
    they are imported."""
    site = tmp_path / "site"
    (site / "my_package").mkdir(parents=True)
    leave = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
    (site / "my_package" / "__init__.py").write_text(leave)
    (site / "my_package" / "offers.py").write_text(leave + "def mine(): ...\n")
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    offers = "".join(f"[vasari.{kind}]\nmine = my_package.offers:mine\n" for kind in KINDS)
    (info / "entry_points.txt").write_text(
        offers + "whole = my_package.offers\n\x1b[2J = my_package.offers:mine\n"
    )
    return site


def lines(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_piped_each_name_is_a_line_with_what_a_recipe_writes(tmp_path, offered):
    head, *rows = lines(run(tmp_path, "plugins", PYTHONPATH=str(offered)))
    assert head == ["kind", "name", "package", "allowed"]
    assert [row[1] for row in rows if row[0] == "sampler" and row[2] == "vasari"] == list(
        SAMPLER_NAMES
    )
    assert [row[1] for row in rows if row[0] == "task" and row[2] == "vasari"] == list(FAMILIES)
    ours = {
        kind: {row[1] for row in rows if row[0] == kind and row[2] == "vasari"} for kind in KINDS
    }
    assert {"mixed", "two_stage"} <= ours["gate"]
    assert {"accuracy", "soft_overlong"} <= ours["reward"]
    assert {"official", "paper", "vasari"} <= ours["protocol"]
    assert ours["policy"] == {"constant"}
    mine = [row for row in rows if row[2] == "my-package" and row[1] == "my_package.offers:mine"]
    assert [row[0] for row in mine if row[3] == "with --plugin my_package"] == [*KINDS, "policy"]
    assert [
        "policy",
        "my_package.offers",
        "my-package",
        "no: it offers no package.module:attribute",
    ] in rows


@pytest.mark.slow
def test_listing_imports_nothing_of_a_package_whether_it_is_allowed_or_not(tmp_path, offered):
    for words in (("plugins",), ("plugins", "--plugin", "my_package")):
        run(tmp_path, *words, PYTHONPATH=str(offered))
        run(tmp_path, *words, PYTHONPATH=str(offered), FORCE_COLOR="1")
    assert not (offered / "my_package" / "ran").exists()


@pytest.mark.slow
def test_what_is_allowed_is_said(tmp_path, offered):
    by_option = run(tmp_path, "plugins", "--plugin", "my_package", PYTHONPATH=str(offered))
    by_variable = run(
        tmp_path, "plugins", PYTHONPATH=str(offered), VASARI_PLUGINS="my_package.offers,other"
    )
    for done, allowed in ((by_option, "my_package"), (by_variable, "my_package.offers, other")):
        assert {row[3] for row in lines(done) if row[1] == "my_package.offers:mine"} == {"yes"}
        assert done.stderr.endswith(f"allowed now: {allowed}\n")
    assert run(tmp_path, "plugins").stderr.endswith("allowed now: none\n")


@pytest.mark.slow
def test_a_terminal_shows_tables_without_the_control_characters_of_a_package(tmp_path, offered):
    shown = run(
        tmp_path, "plugins", PYTHONPATH=str(offered), FORCE_COLOR="1", NO_COLOR="1", COLUMNS="160"
    ).stdout
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "what a recipe can name" in text
    assert "prompts.tasks.families" in text
    assert "my_package.offers:mine" in text
    assert "'\\x1b[2J'" in text
    assert "\x1b[2J" not in shown
    alone = run(tmp_path, "plugins", FORCE_COLOR="1", COLUMNS="160").stdout
    assert (
        "no installed package offers any (entry points vasari.sampler, vasari.reward, ...)" in alone
    )


@pytest.mark.slow
def test_an_offer_is_used_when_it_is_named_and_allowed(tmp_path, offered):
    (offered / "my_package" / "offers.py").write_text((EXAMPLES / "own_task.py").read_text())
    words = ("gallery", "--family", "my_package.offers:Discs", "--per-level", "1")
    run(tmp_path, *words, code=1, PYTHONPATH=str(offered))
    run(tmp_path, *words, "--plugin", "my_package", PYTHONPATH=str(offered))
    assert "How many more discs" in (tmp_path / "gallery.html").read_text()


# Code of one's own in the working folder.


@pytest.fixture
def own(tmp_path) -> Path:
    """A working folder with the examples."""
    for path in EXAMPLES.glob("own_*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


def allow(*names: str) -> list[str]:
    return [word for name in names for word in ("--plugin", name)]


@pytest.mark.slow
def test_a_curation_draws_a_family_and_places_a_stage_of_ones_own(own):
    recipe = {
        "name": "own",
        "sources": [{"tasks": {"families": ["bars", "own_task:Discs"], "num_prompts": 20}}],
        "duplicates": None,
        "stages": [{"name": "own_stage:short_questions", "settings": {"max_words": 9}}],
        "sft": {},
    }
    (own / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    refused = run(own, "curate", "recipe.yaml", "--out", "out", *allow("own_stage"), code=1)
    assert "allow it with --plugin own_task" in refused.stderr
    run(own, "curate", "recipe.yaml", "--out", "out", *allow("own_stage", "own_task"))
    kept = read_prompts(own / "out" / "sft.parquet")
    assert {prompt.category for prompt in kept} == {
        "bars"
    }  # the question about discs has ten words
    assert {prompt.metadata["num_words"] for prompt in kept} <= set(range(10))


@pytest.mark.slow
def test_a_policy_of_ones_own_is_evaluated_and_resumed_on_a_benchmark_of_ones_own(own):
    rows = [
        {"id": f"q{n}", "question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(4)
    ]
    (own / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "name": "guess",
        "policy": {"name": "own_policy:Guesser", "settings": {"largest": 4}},
        "benchmarks": {
            "sets": {"mine": {"prompts": "p.jsonl"}},
            "protocols": ["vasari"],
            "num_rollouts": 8,
            "temperature": 1.0,
        },
    }
    (own / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ("evaluate", "recipe.yaml", "--out", "out")
    assert "allow it with --plugin own_policy" in run(own, *command, code=1).stderr
    forecast = run(own, *command, "--dry-run", *allow("own_policy")).stdout
    assert "32 rollouts by policy 'own_policy:Guesser', whose cost is not known here" in forecast
    run(own, *command, *allow("own_policy"))
    scores = json.loads((own / "out" / "scores.json").read_text())
    assert (scores["model"], scores["is_complete"]) == ("Guesser", True)
    counts = scores["sets"]["mine"]["protocols"]["vasari"]["counts"]
    assert counts["correct"] + counts["wrong"] == 32
    before = (own / "out" / "outputs.jsonl").read_bytes()
    run(own, *command, "--resume", *allow("own_policy"))
    assert (own / "out" / "outputs.jsonl").read_bytes() == before
    other = run(
        own,
        *command,
        "--resume",
        "--set",
        "policy.settings.largest=9",
        *allow("own_policy"),
        code=1,
    )
    assert "holds outputs of another evaluation" in other.stderr


@pytest.mark.slow
def test_a_wrong_setting_of_a_policy_is_found_before_any_benchmark_is_read(own):
    recipe = {"name": "x", "policy": {"name": "own_policy:Guesser", "settings": {"large": 4}}}
    (own / "recipe.yaml").write_text(
        yaml.safe_dump(recipe | {"benchmarks": {"sets": {"mine": {"prompts": "missing.jsonl"}}}})
    )
    done = run(own, "evaluate", "recipe.yaml", *allow("own_policy"), code=1)
    assert (
        done.stderr
        == "error: recipe recipe.yaml: policy: policy 'own_policy:Guesser' has no setting 'large';"
        " it has: largest\n"
    )


@pytest.mark.heavy
@pytest.mark.slow
def test_a_training_uses_a_sampler_a_gate_a_reward_and_a_family_of_ones_own(own):
    tasks = {
        "families": ["bars", "own_task:Discs"],
        "num_cold_start": 0,
        "num_train": 16,
        "num_validation": 4,
        "num_test": 4,
    }
    recipe = {
        "name": "own",
        "prompts": {"tasks": tasks | {"num_held_out_style": 2}},
        "model": {"path": "vasari:tiny-base", "system_prompt": "small"},
        "sampler": {"name": "own_sampler:LastMixed", "settings": {"noise": 0.1}},
        "grpo": {
            "steps": 2,
            "prompts_per_batch": 4,
            "rollouts_per_prompt": 4,
            "micro_batch": 8,
            "trl": {"max_completion_length": 24, "beta": 0.0, "temperature": 1.0},
            "gate": {"name": "own_gate:Rest", "settings": {"batches": 2}},
            "rewards": [
                {"name": "accuracy"},
                {"name": "own_reward:brevity", "weight": 0.2, "settings": {"words": 20}},
            ],
            "validate_every": 2,
            "save_every": 2,
        },
    }
    (own / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ("train", "recipe.yaml", "--out", "run")
    names = ("own_sampler", "own_gate", "own_reward", "own_task")
    for missing in names:
        allowed = [name for name in names if name != missing]
        assert (
            f"allow it with --plugin {missing}"
            in run(own, *command, *allow(*allowed), code=1).stderr
        )
    assert not (own / "run").exists()
    run(own, *command, *allow(*names))
    (arm,) = (own / "run" / "rl").iterdir()
    groups = read_groups(arm / "groups").to_pylist()
    assert {group["prompt_id"].split("-")[2] for group in groups} == {"bars", "discs"}
    assert {name for group in groups for name, _ in group["reward_terms"]} == {
        "accuracy",
        "brevity",
    }
    run(own, "report", "run")  # needs no code of anybody
    run(own, *command, "--resume", code=1)
    run(own, *command, "--resume", VASARI_PLUGINS=",".join(names))
