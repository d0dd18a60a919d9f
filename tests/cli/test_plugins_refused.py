"""A recipe from a stranger runs no code: whatever it names, at whichever key, nothing is imported
that was not allowed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vasari.core.plugins import VARIABLE

pytestmark = pytest.mark.slow  # a process each
SELDOM, ALLOWED = [pytest.mark.heavy], ["--plugin", "evil"]

GOLDEN = Path(__file__).parents[1] / "golden"

EVIL = (
    "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef thing(*args, **kwargs):"
    " ...\n_private = thing\n"
)
"""Leaves a file when it is imported."""

NAMES = [
    "evil:thing",
    "evil:_private",
    "evil:thing.__globals__",
    "evil:__loader__",
    "evil:",
    "evil",
    ":thing",
    "package.evil:thing",
    "package..evil:thing",
    "..package.evil:thing",
    "../evil:thing",
    "./evil:thing",
    "evil.py:thing",
    "evil :thing",
    " evil:thing",
    "evil: thing",
    "evil:thing\n",
    "'evil':thing",
    '"evil":thing',
    "evil:thing()",
    "__import__('evil'):thing",
    "__import__:evil",
    "evil:thing:thing",
    "\u0435vil:thing",  # a Cyrillic letter
    "\uff45vil:thing",  # a letter of full width
    "evil\u200b:thing",
    "evil\x00:thing",
    "os:system",
    "builtins:exec",
    "importlib:import_module",
    "vasari.core.files:write_bytes",
    "",
]

GRPO = {"steps": 2, "prompts_per_batch": 2, "rollouts_per_prompt": 2, "micro_batch": 2}


def training(**sections: Any) -> dict[str, Any]:
    tasks = {
        "families": ["bars"],
        "num_train": 8,
        "num_cold_start": 0,
        "num_validation": 2,
        "num_test": 2,
    }
    base = {"name": "x", "prompts": {"tasks": tasks}, "model": {"path": "nowhere"}, "grpo": GRPO}
    return base | sections


def curation(**sections: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "sources": [{"tasks": {"families": ["bars"], "num_prompts": 2}}],
        "sft": {},
    } | sections


def benchmarks(policy: Any, protocols: list[str]) -> dict[str, Any]:
    return {
        "name": "x",
        "policy": policy,
        "benchmarks": {"sets": {"mine": {"prompts": "p.jsonl"}}, "protocols": protocols},
    }


TRAIN: dict[str, Callable[[str], dict[str, Any]]] = {
    "sampler": lambda name: training(sampler={"name": name}),
    "another sampler": lambda name: training(sampler={"name": "uniform", "others": {name: {}}}),
    "wrapped sampler": lambda name: training(sampler={"name": "skip", "settings": {"inner": name}}),
    "twice wrapped sampler": lambda name: training(
        sampler={"name": "retain", "settings": {"inner": "skip", "inner_settings": {"inner": name}}}
    ),
    "another wrapped sampler": lambda name: training(
        sampler={"name": "uniform", "others": {"skip": {"inner": name}}}
    ),
    "gate": lambda name: training(grpo=GRPO | {"gate": name}),
    "gate with settings": lambda name: training(
        grpo=GRPO | {"gate": {"name": name, "settings": {"command": "true"}}}
    ),
    "reward": lambda name: training(grpo=GRPO | {"rewards": [{"name": name}]}),
    "reward with settings": lambda name: training(
        grpo=GRPO
        | {
            "rewards": [
                {"name": "accuracy"},
                {"name": name, "weight": 0.5, "settings": {"command": "true"}},
            ]
        }
    ),
    "task": lambda name: training(prompts={"tasks": {"families": ["bars", name]}}),
}
CURATE: dict[str, Callable[[str], dict[str, Any]]] = {
    "curated task": lambda name: curation(
        sources=[{"tasks": {"families": [name], "num_prompts": 2}}]
    ),
    "stage": lambda name: curation(stages=[{"name": name}]),
    "stage with settings": lambda name: curation(
        stages=[{"name": name, "after": "read", "settings": {"command": "true"}}]
    ),
}
BENCHMARK: dict[str, Callable[[str], dict[str, Any]]] = {
    "policy": lambda name: benchmarks(name, ["vasari"]),
    "policy with settings": lambda name: benchmarks(
        {"name": name, "settings": {"command": "true"}}, ["vasari"]
    ),
    "protocol": lambda name: benchmarks(
        {"name": "constant", "settings": {"text": "1"}}, ["vasari", name]
    ),
}
KINDS = {
    "train": ("train", TRAIN),
    "sft": ("sft", TRAIN),
    "evaluate a run": ("evaluate", TRAIN),
    "curate": ("curate", CURATE),
    "evaluate on benchmarks": ("evaluate", BENCHMARK),
}
ALIKE = ("sft", "evaluate a run")  # read recipes as `train` does
CASES = [(kind, NAMES[::5] if kind in ALIKE else NAMES) for kind in KINDS]
CASES += [pytest.param(kind, NAMES, marks=SELDOM) for kind in ALIKE]

# The real command, many times in one process: importing it anew each time would take minutes.
DRIVER = """
import contextlib, io, json, os, sys
from vasari.cli.main import main

told, allowed = [], os.environ["VASARI_PLUGINS"]
for words in json.load(sys.stdin):
    sys.argv, said, code = ["vasari", *words], io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    told.append([code, said.getvalue(), sys.modules.pop("evil", None) is not None])
    os.environ["VASARI_PLUGINS"] = allowed
json.dump(told, sys.stdout)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A stranger's folder: modules that must not run beside the recipe, and the driver, so that
    they can be imported."""
    (tmp_path / "package").mkdir()
    for place in ("evil.py", "package/__init__.py", "package/evil.py", "my_evil.py"):
        (tmp_path / place).write_text(EVIL)
    (tmp_path / "driver.py").write_text(DRIVER)
    row = {"id": "1", "question": "?", "answer": "1", "response": "1", "benchmark": "mathvision"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    return tmp_path


def run(
    folder: Path, *words: str, given: str | None = None, allowed: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: allowed, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def drive(folder: Path, calls: list[list[str]], allowed: str = "") -> list[tuple[int, str, bool]]:
    done = run(folder, "driver.py", given=json.dumps(calls), allowed=allowed)
    assert done.returncode == 0, done.stderr
    return [tuple(one) for one in json.loads(done.stdout)]


def written(folder: Path, number: int, recipe: dict[str, Any]) -> str:
    path = folder / f"recipe-{number}.yaml"
    path.write_text(json.dumps(recipe))  # which is YAML
    return path.name


def has_run(folder: Path) -> bool:
    return any(folder.rglob("ran"))


@pytest.mark.parametrize(("kind", "names"), CASES)
def test_a_recipe_that_names_code_is_refused_in_one_line_and_nothing_runs(folder, kind, names):
    command, keys = KINDS[kind]
    cases = [(key, name) for key in keys for name in names]
    calls = [
        [command, written(folder, place, keys[key](name)), "--out", "out"]
        for place, (key, name) in enumerate(cases)
    ]
    for case, (code, said, was_imported) in zip(cases, drive(folder, calls), strict=True):
        assert (code, was_imported) == (1, False), (case, said)
        (line,) = said.splitlines()
        assert line.startswith("error: recipe recipe-"), (case, said)
    assert not has_run(folder)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("kind", [pytest.param(k, marks=SELDOM * (k != "train")) for k in KINDS])
def test_the_same_recipes_would_have_run_it_had_it_been_allowed(folder, kind):
    command, keys = KINDS[kind]
    wrong = {"unknown": "so that it ends once the recipe has been read"}
    calls = [
        [command, written(folder, n, evil("evil:thing") | wrong), "--out", "out", *ALLOWED]
        for n, evil in enumerate(keys.values())
    ]
    for key, (code, said, was_imported) in zip(keys, drive(folder, calls), strict=True):
        assert (code, was_imported) == (1, True), (key, said)
    assert has_run(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "recipe-0.yaml", "--out", "out", "--sampler"],
        ["quickstart", "--tiny", "--out", "out", "--sampler"],
        ["rescore", "p.jsonl", "--out", "out", "--protocol"],
        ["gallery", "--out", "page.html", "--family"],
    ],
    ids=lambda words: words[0],
)
def test_code_that_is_named_on_the_command_line_is_refused_too(folder, words):
    written(folder, 0, training())
    names = [name for name in NAMES[:: 4 if words[0] == "quickstart" else 1] if name]
    calls = [[*words, name] for name in names]
    for name, (code, said, was_imported) in zip(names, drive(folder, calls), strict=True):
        assert (code, was_imported) == (1, False), (name, said)
        assert said.splitlines()[-1].startswith("error: "), (name, said)
    assert not has_run(folder)
    assert not (folder / "out").exists()


def test_an_override_is_no_way_around(folder):
    recipe = written(folder, 0, training())
    settings = [
        "sampler.name=evil:thing",
        "sampler={name: skip, settings: {inner: 'evil:thing'}}",
        "grpo.gate=evil:thing",
        "grpo.rewards=['evil:thing']",
        "prompts.tasks.families=['evil:thing']",
    ]
    calls = [["train", recipe, "--out", "out", "--set", setting] for setting in settings]
    calls += [["quickstart", "--tiny", "--out", "out", "--set", setting] for setting in settings]
    for call, (code, said, was_imported) in zip(calls, drive(folder, calls), strict=True):
        assert (code, was_imported) == (1, False), (call, said)
        assert "allow it with --plugin evil, or VASARI_PLUGINS=evil" in said, (call, said)
    assert not has_run(folder)


def test_a_package_of_a_like_name_allows_nothing(folder):
    recipe = written(folder, 0, training(grpo=GRPO | {"gate": "evil:thing"}))
    alike = [
        "ev",
        "evi",
        "evil_too",
        "package.ev",
        "package",
        "my_evil",
        "Evil",
        "evil.thing",
        "evil.evil",
    ]
    calls = [["train", recipe, "--out", "out", "--plugin", name] for name in alike]
    for name, (code, said, was_imported) in zip(alike, drive(folder, calls), strict=True):
        assert (code, was_imported) == (1, False), (name, said)
        assert "allow it with --plugin evil" in said, (name, said)
    assert not has_run(folder)


def test_an_allowed_package_does_not_lend_the_modules_that_it_imports(folder):
    (folder / "honest.py").write_text("import os\nfrom os import system\nimport evil\n")
    # Leaves its file when it is called.
    (folder / "evil.py").write_text("def thing(**settings): open('ran', 'w')\n")
    names = ["honest:os.system", "honest:system", "honest:evil.thing"]
    commands = [
        ("train", TRAIN["gate with settings"]),
        ("train", TRAIN["reward with settings"]),
        ("curate", CURATE["stage with settings"]),
    ]
    options = ["--out", "out", "--plugin", "honest"]
    calls = [
        [command, written(folder, 10 * place + number, recipe(name)), *options]
        for place, (command, recipe) in enumerate(commands)
        for number, name in enumerate(names)
    ]
    for call, (code, said, _) in zip(calls, drive(folder, calls), strict=True):
        assert code == 1, (call, said)
        assert "which was not allowed" in said, (call, said)
    assert not has_run(folder)


@pytest.mark.parametrize(
    ("command", "recipe"),
    [("train", TRAIN["sampler"]), ("curate", CURATE["stage"]), ("evaluate", BENCHMARK["policy"])],
    ids=["train", "curate", "evaluate"],
)
def test_the_command_in_a_process_of_its_own_says_one_line_and_ends_with_one(
    folder, command, recipe
):
    done = run(
        folder, "-m", "vasari", command, written(folder, 0, recipe("evil:thing")), "--out", "out"
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: recipe recipe-0.yaml: ")
    assert line.endswith("allow it with --plugin evil, or VASARI_PLUGINS=evil")
    assert done.stdout == ""
    assert not has_run(folder)


# What lies on disk is no more to be trusted than a recipe.


def tampered(recipe: dict[str, Any]) -> dict[str, Any]:
    """A stored recipe that names code wherever it can."""
    grpo = {
        key: value
        for key, value in recipe["grpo"].items()
        if key not in ("accuracy_reward", "format_reward", "screening")
    }
    recipe["grpo"] = grpo | {"gate": "evil:thing", "rewards": [{"name": "evil:thing"}]}
    others = {"skip": {"inner": "evil:thing"}}
    recipe["sampler"] = {"name": "evil:thing", "settings": {}, "others": others}
    recipe["prompts"] = {"tasks": {"families": ["evil:thing"]}, "files": None}
    return recipe


def test_a_saved_run_that_names_code_is_reported_and_not_resumed_and_nothing_of_it_runs(folder):
    shutil.copytree(GOLDEN / "run_0_1_0", folder / "run")
    settings = folder / "run" / "settings.json"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps(content | {"recipe": tampered(content["recipe"])}))
    recipe = written(folder, 0, training())
    calls = [
        ["report", "run"],
        ["score", "run", "--arm", "vas", "--out", "scores.csv"],
        ["train", recipe, "--out", "run", "--resume"],
        ["evaluate", recipe, "--out", "run", "--resume"],
        ["sft", recipe, "--out", "run", "--resume"],
    ]
    told = drive(folder, calls)
    assert [code for code, _, _ in told] == [0, 0, 1, 1, 1], told
    assert not any(was_imported for _, _, was_imported in told)
    assert not has_run(folder)


def test_stored_results_that_name_code_are_read_and_nothing_of_it_runs(folder):
    recipe = written(
        folder, 0, benchmarks({"name": "constant", "settings": {"text": "1"}}, ["vasari"])
    )
    rescore = ["rescore", "p.jsonl", "--out", "scores"]
    told = drive(
        folder,
        [["evaluate", recipe, "--out", "one"], ["evaluate", recipe, "--out", "two"], rescore],
    )
    assert [code for code, _, _ in told] == [0, 0, 0], told
    for path in (
        folder / "one" / "recipe.json",
        folder / "one" / "scores.json",
        folder / "scores" / "settings.json",
    ):
        text = path.read_text()
        assert '"vasari"' in text, path
        evil = text.replace('"vasari"', '"evil:thing"').replace('"constant"', '"evil:thing"')
        path.write_text(evil)
    calls = [["compare", "one", "two"], ["evaluate", recipe, "--out", "one", "--resume"], rescore]
    told = drive(folder, calls)
    assert not any(was_imported for _, _, was_imported in told), told
    assert not has_run(folder)
