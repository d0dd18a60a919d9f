"""A scorer of one's own as a protocol: what it may take and return, in one process and in several,
in files and tables."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from vasari.cli.main import main
from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json
from vasari.evaluate.protocols import (
    PROTOCOLS,
    StoredOutput,
    file_name_of,
    read_row,
    scoring_protocol,
)
from vasari.evaluate.protocols.check import check_protocol
from vasari.evaluate.protocols.user_rule import user_rule
from vasari.records import Outcome, Verdict

OUTPUT = StoredOutput(benchmark="own", id="1", response="It is 4.", answer="4", choices=("3", "4"))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (True, Outcome.CORRECT),
        (1, Outcome.CORRECT),
        (1.0, Outcome.CORRECT),
        (np.bool_(True), Outcome.CORRECT),
        (np.float64(0.0), Outcome.INCORRECT),
        (np.array(1), Outcome.CORRECT),
        (False, Outcome.INCORRECT),
        (None, Outcome.UNVERIFIABLE),
        (Outcome.INCORRECT, Outcome.INCORRECT),
        (Verdict(Outcome.CORRECT, "4", "own"), Outcome.CORRECT),
    ],
)
def test_what_a_scorer_says_is_a_verdict(said, outcome):
    assert user_rule("own", lambda response: said)(OUTPUT).outcome is outcome


@pytest.mark.parametrize(
    "said",
    ["yes", 0.5, 2, [True], {"correct": True}, float("nan"), np.array([1, 0]), np.array([1])],
)
def test_anything_else_ends_the_scoring(said):
    with pytest.raises(
        StateError, match=r"protocol 'own' returned .*; it may return True, False, 1, 0, None"
    ):
        user_rule("own", lambda response: said)(OUTPUT)


@pytest.mark.parametrize(
    "verdict", [Verdict("correct"), Verdict(Outcome.CORRECT, 4), Verdict(Outcome.CORRECT, None, 4)]
)
def test_a_verdict_that_could_not_be_read_back_ends_the_scoring(verdict):
    with pytest.raises(StateError, match=r"protocol 'own' returned a Verdict (with|whose)"):
        user_rule("own", lambda response: verdict)(OUTPUT)


def test_a_scorer_is_given_what_it_names():
    seen = {}

    def scorer(response, answer, choices, benchmark, *, kind, tolerance=0.1):
        seen.update(
            response=response,
            answer=answer,
            choices=choices,
            benchmark=benchmark,
            kind=kind,
            tolerance=tolerance,
        )
        return True

    user_rule("own", scorer)(OUTPUT)
    asked_for = {"response": "It is 4.", "answer": "4", "choices": ("3", "4"), "benchmark": "own"}
    assert seen == asked_for | {"kind": None, "tolerance": 0.1}


def test_a_scorer_reads_facts_of_its_own_in_the_metadata_of_a_row():
    def within(response, answer, metadata):
        return abs(float(response) - float(answer)) <= metadata["tolerance"]

    row = {
        "benchmark": "own",
        "id": "1",
        "response": "4.2",
        "answer": "4",
        "metadata": {"tolerance": 0.5},
    }
    near, far = (read_row(row | {"response": said}) for said in ("4.2", "4.6"))
    rule = user_rule("own", within)
    assert (rule(near).outcome, rule(far).outcome) == (Outcome.CORRECT, Outcome.INCORRECT)


def test_our_verifier_compares_a_row_as_its_kind_says():
    row = {"benchmark": "own", "id": "1", "response": "\\boxed{2.50}", "answer": "2.5"}
    number, text = (
        scoring_protocol("vasari").verdict(read_row(row | {"kind": kind}))
        for kind in ("number", "text")
    )
    assert (number.outcome, text.outcome) == (Outcome.CORRECT, Outcome.INCORRECT)


@pytest.mark.parametrize(
    "error", [IndexError("no such place"), SystemExit(3), RecursionError("too deep"), MemoryError()]
)
def test_an_exception_of_its_own_leaves_one_output_undecided(error):
    def scorer(response):
        raise error

    verdict = user_rule("own", scorer)(OUTPUT)
    assert (verdict.outcome, verdict.decided_by) == (Outcome.UNVERIFIABLE, "error")
    assert verdict.reason.startswith(type(error).__name__)


async def _asynchronous(response):
    return True


def _positional(response, /):
    return True


def _generator(response):
    yield True


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (3, "is a int, which cannot be called"),
        (lambda response, image: True, "needs 'image'; a scorer may take benchmark, id, response"),
        (lambda: True, "looks at nothing of an output"),
        (lambda *responses: True, "looks at nothing of an output"),
        (_positional, "takes 'response' by position only"),
        (_asynchronous, "is asynchronous or a generator"),
        (_generator, "is asynchronous or a generator"),
        (PROTOCOLS["vasari"], "is a ScoringProtocol, which cannot be called"),
    ],
)
def test_what_is_no_scorer_is_one_line(scorer, message):
    with pytest.raises(ConfigError, match=message):
        user_rule("own", scorer)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_our_protocols_keep_the_contract(name):
    check_protocol(name)


def _last_word(response, answer):
    return response.rstrip(".").endswith(answer)


def _counting(response, seen=[]):  # noqa: B006  (what it keeps between two calls is the fault)
    seen.append(response)
    return len(seen) < 40


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (
            lambda response: "right",
            r"on the response '.*' to the reference '12': .* may return True, False",
        ),
        (lambda response: True, "an empty response was found correct"),
        (
            lambda response, answer: answer in response or not response,
            "an empty response was found correct",
        ),
        (_counting, "two verdicts on the response"),
        (
            lambda response: response.split()[-1] == "12",
            r"on the response '' .* it raised IndexError",
        ),
        (
            lambda response: int(response) == 12 if response.isdecimal() else False,
            r"on the response '9999.* it raised ValueError",
        ),
        (
            lambda response: bool(response.encode()) and response == "12",
            r"it raised UnicodeEncodeError",
        ),
        (
            lambda response: json.loads(response) == 12 if response[:1] == "[" else False,
            r"it raised RecursionError",
        ),
    ],
)
def test_a_broken_scorer_is_named(scorer, message):
    with pytest.raises(AssertionError, match=message):
        check_protocol(scorer)


def test_a_sound_scorer_passes_with_a_right_output_of_its_own_form():
    check_protocol(_last_word)
    check_protocol(
        _last_word,
        right=StoredOutput(benchmark="own", id="1", response="So it is red.", answer="red"),
    )


def test_a_scorer_that_does_not_find_the_right_output_right_is_named():
    right = StoredOutput(benchmark="own", id="1", response="So it is Red.", answer="red")
    with pytest.raises(
        AssertionError,
        match=(
            r"the response 'So it is Red.' to the reference 'red' must be correct, and is incorrect"
        ),
    ):
        check_protocol(_last_word, right=right)


def test_a_file_is_named_after_a_protocol_on_every_system():
    names = ["my_pkg.scorers:mine", "my_pkg:scorers.mine", "paper:rules", "paper", "rules"]
    assert file_name_of(names[0]) == "my_pkg.scorers-mine"
    # Verdicts before a judge was asked lie in verdicts.NAME.rules.jsonl.
    assert (
        len(
            {
                f"verdicts.{file_name_of(name)}{end}"
                for name in names
                for end in (".jsonl", ".rules.jsonl")
            }
        )
        == 10
    )


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
        {"id": str(n), "benchmark": "own", "response": f"It is {n % 3}.", "answer": "1"}
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
