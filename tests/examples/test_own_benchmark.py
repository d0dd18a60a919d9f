"""The example of a benchmark with its scorer, through the commands that a user gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROTOCOL = "own_benchmark:within_a_tenth"


@pytest.fixture
def example(monkeypatch):
    """The example as a module, without running it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import own_benchmark

    return own_benchmark


def vasari(*words, plugins="own_benchmark", code=0):
    """What the command printed, run where the example can be imported."""
    environment = {**os.environ, "VASARI_PLUGINS": plugins, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vasari", *map(str, words)]
    done = subprocess.run(
        command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("response", "answer", "right"),
    [
        ("55", "50", True),
        ("45", "50", True),
        ("55.1", "50", False),
        ("first 50, then 60", "50", False),
        ("I cannot see a bar.", "50", False),
        ("50", "fifty", None),
    ],
)
def test_its_scorer_takes_the_last_number_and_a_tenth_of_the_reference(
    example, response, answer, right
):
    assert example.within_a_tenth(response, answer) is right


@pytest.mark.slow
def test_its_benchmark_is_evaluated_and_its_outputs_scored_again(example, tmp_path):
    example.write_benchmark(tmp_path)
    said = vasari("evaluate", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    # Of 20, 35, 50, 65, 80 and 95, in turns red and blue, "About 52." is within a tenth of 50
    # alone, which is red.
    found = json.loads((tmp_path / "out/scores.json").read_text())["sets"]["bars"]["protocols"][
        PROTOCOL
    ]
    assert found["accuracy"]["mean"] == pytest.approx(1 / 6)
    by_colour = {
        name: one["accuracy"]["mean"] for name, one in found["by_category"]["colour"].items()
    }
    assert by_colour == {"red": pytest.approx(1 / 3), "blue": 0}
    assert "0.167" in said
    vasari(
        "rescore",
        tmp_path / "out/outputs.jsonl",
        "--protocol",
        PROTOCOL,
        "--out",
        tmp_path / "again",
    )
    (again,) = json.loads((tmp_path / "again/scores.json").read_text())["protocols"][PROTOCOL]
    assert (again["num_correct"], again["n"]) == (1, 6)


@pytest.mark.slow
def test_its_recipe_alone_runs_no_code(example, tmp_path):
    example.write_benchmark(tmp_path)
    said = vasari(
        "evaluate", tmp_path / "recipe.yaml", "--out", tmp_path / "out", plugins="", code=1
    )
    assert "allow it with --plugin own_benchmark, or VASARI_PLUGINS=own_benchmark" in said
    assert not (tmp_path / "out").exists()
