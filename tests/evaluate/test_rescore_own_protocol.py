"""A scorer of one's own in files and tables, in one process and in several."""

import json
import os
import subprocess
import sys

import pytest

from vasari.cli.main import main
from vasari.core.files import read_json

SCORER = """
import pathlib, os
pathlib.Path("imported").touch()


def ends_with(response, answer, id):
    with open("scored", "a") as file:
        file.write(id + " ")
    if id == "150" and pathlib.Path("die").exists():
        os.kill(os.getpid(), 9)
    return response.rstrip(".").endswith(answer)


def talks(response):
    return "right"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module of scorers, which the working folder makes importable, and with 200
    outputs."""
    (tmp_path / "my_scorers.py").write_text(SCORER)
    rows = [
        {"id": str(n), "benchmark": "own", "response": f"It is not {n % 3}.", "answer": "1"}
        for n in range(200)
    ]
    (tmp_path / "outputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def rescore(folder, *words, plugins="my_scorers", protocol="my_scorers:ends_with", code=0):
    """What `vasari rescore` printed, run as a user runs it."""
    command = [
        sys.executable,
        "-m",
        "vasari",
        "rescore",
        "outputs.jsonl",
        "--protocol",
        protocol,
        "--out",
        "scores",
        *words,
    ]
    environment = {**os.environ, "VASARI_PLUGINS": plugins, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def verdicts(folder, name="verdicts.jsonl"):
    return [json.loads(line) for line in (folder / "scores" / name).read_text().splitlines()]


# Of 0 to 199 each third number, beginning with 1, leaves 1: 67 of them.
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_stored_outputs_are_scored_by_it_in_one_process_and_in_several(folder, workers):
    said = rescore(folder, "--workers", workers)
    assert sum(row["outcome"] == "correct" for row in verdicts(folder)) == 67
    assert [row["id"] for row in verdicts(folder)] == [str(n) for n in range(200)]
    (scores,) = read_json(folder / "scores/scores.json")["protocols"]["my_scorers:ends_with"]
    assert (scores["num_correct"], scores["decided_by"]) == (67, {"scorer": 200})
    assert "my_scorers:ends_with" in said


@pytest.mark.slow
def test_it_stands_beside_ours_with_the_outputs_on_which_they_differ(folder):
    # Several words may stand behind --protocol, as with ours.
    said = rescore(folder, "my_scorers:ends_with", protocol="vasari")
    # Where our verifier finds no stated answer in "It is 1.", the scorer has decided.
    assert "vasari and my_scorers:ends_with differ on 67 of 200 outputs" in said
    assert len(verdicts(folder, "verdicts.my_scorers-ends_with.jsonl")) == 200
    differing = verdicts(folder, "disagreements.jsonl")
    assert {row["my_scorers:ends_with"]["outcome"] for row in differing} == {"correct"}


@pytest.mark.slow
def test_a_killed_scoring_goes_on_behind_its_last_verdict(folder):
    (folder / "die").touch()
    rescore(folder, code=-9)
    assert read_json(folder / "scores/settings.json")["protocols"] == ["my_scorers:ends_with"]
    (folder / "die").unlink()
    before = len((folder / "scored").read_text().split())
    rescore(folder)
    again = (folder / "scored").read_text().split()[before:]
    # Verdicts are written 64 at a time, and 150 was in the third chunk.
    assert again == [str(n) for n in range(128, 200)]
    assert sum(row["outcome"] == "correct" for row in verdicts(folder)) == 67


@pytest.mark.slow
def test_an_output_that_kills_a_worker_process_is_undecided_and_the_others_are_scored(folder):
    (folder / "die").touch()
    rescore(folder, "--workers", "2")
    assert [row["id"] for row in verdicts(folder) if row["decided_by"] == "crashed"] == ["150"]
    assert sum(row["outcome"] == "correct" for row in verdicts(folder)) == 67 - (150 % 3 == 1)


@pytest.mark.slow
def test_verdicts_by_older_code_of_a_scorer_are_not_mixed_with_those_of_its_new_code(folder):
    rescore(folder)
    (folder / "my_scorers.py").write_text(SCORER.replace("return response", "return not response"))
    assert "holds verdicts by older code of my_scorers:ends_with; choose another --out" in rescore(
        folder, code=1
    )
    rescore(folder, "--overwrite")
    assert sum(row["outcome"] == "correct" for row in verdicts(folder)) == 200 - 67


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_value_that_a_scorer_may_not_return_is_one_line(folder, workers):
    said = rescore(folder, "--workers", workers, protocol="my_scorers:talks", code=1)
    assert (
        "error: protocol 'my_scorers:talks' returned 'right'; it may return True, False, 1, 0, None"
        in said
    )


@pytest.fixture
def refused(folder, monkeypatch, capsys):
    """Runs `vasari` in the folder, which is importable, with no plugin allowed; returns its one
    line."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("VASARI_PLUGINS", raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr().err
        assert (stop.value.code, len(said.splitlines())) == (1, 1)
        assert not (folder / "imported").exists()
        return said

    return run


REFUSAL = (
    "protocol 'my_scorers:ends_with' is code of the package 'my_scorers', which a recipe may not"
    " run by itself"
)


@pytest.mark.parametrize(
    "words",
    [["--protocol", "my_scorers:ends_with"], ["--protocol", "vasari", "my_scorers:ends_with"]],
)
def test_a_scorer_whose_package_was_not_allowed_is_not_imported(refused, folder, words):
    assert REFUSAL in refused("rescore", "outputs.jsonl", *words, "--out", "scores")
    assert not (folder / "scores").exists()


def test_a_recipe_that_names_one_is_refused_before_anything_is_read(refused, folder):
    (folder / "recipe.yaml").write_text(
        "name: own\npolicy: {name: constant, settings: {text: x}}\n"
        "benchmarks: {sets: {own: {prompts: missing.jsonl}}, protocols: ['my_scorers:ends_with']}\n"
    )
    said = refused("evaluate", "recipe.yaml", "--out", "out")
    assert REFUSAL in said
    assert "--plugin my_scorers, or VASARI_PLUGINS=my_scorers" in said


def test_a_private_or_a_foreign_function_of_an_allowed_module_is_refused(
    folder, monkeypatch, refused
):
    monkeypatch.setenv("VASARI_PLUGINS", "json")
    assert "is private" in refused(
        "rescore", "outputs.jsonl", "--protocol", "json:_default_decoder.decode", "--out", "scores"
    )
    said = refused("rescore", "outputs.jsonl", "--protocol", "json:codecs.open", "--out", "scores")
    assert "leads to code of the package 'codecs', which was not allowed" in said
