"""A scorer of one's own as a protocol: what it may take and return, in one process and in several, in files and tables."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vasari.errors import ConfigError, StateError
from vasari.evaluate.protocols import PROTOCOLS, StoredOutput, file_name_of
from vasari.evaluate.protocols.check import check_protocol
from vasari.evaluate.protocols.user_rule import user_rule
from vasari.records import Outcome, Verdict
from vasari.rundir import read_json

OUTPUT = StoredOutput(benchmark="own", id="1", response="It is 4.", answer="4", choices=("3", "4"))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (True, Outcome.CORRECT),
        (1, Outcome.CORRECT),
        (1.0, Outcome.CORRECT),
        (np.bool_(True), Outcome.CORRECT),
        (np.float64(0.0), Outcome.INCORRECT),
        (False, Outcome.INCORRECT),
        (None, Outcome.UNVERIFIABLE),
        (Outcome.INCORRECT, Outcome.INCORRECT),
        (Verdict(Outcome.CORRECT, "4", "own"), Outcome.CORRECT),
    ],
)
def test_what_a_scorer_says_is_a_verdict(said, outcome):
    assert user_rule("own", lambda response: said)(OUTPUT).outcome is outcome


@pytest.mark.parametrize("said", ["yes", 0.5, 2, [True], {"correct": True}, float("nan")])
def test_anything_else_ends_the_scoring(said):
    with pytest.raises(StateError, match=r"protocol 'own' returned .*; it may return True, False, 1, 0, None"):
        user_rule("own", lambda response: said)(OUTPUT)


def test_a_scorer_is_given_what_it_names():
    seen = {}

    def scorer(response, answer, choices, benchmark):
        seen.update(response=response, answer=answer, choices=choices, benchmark=benchmark)
        return True

    user_rule("own", scorer)(OUTPUT)
    assert seen == {"response": "It is 4.", "answer": "4", "choices": ("3", "4"), "benchmark": "own"}


def test_an_exception_of_its_own_leaves_one_output_undecided():
    verdict = user_rule("own", lambda response: response[99])(OUTPUT)
    assert (verdict.outcome, verdict.decided_by) == (Outcome.UNVERIFIABLE, "error")
    assert "IndexError" in verdict.reason


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (3, "is a int, which cannot be called"),
        (lambda response, image: True, "needs 'image'; a scorer may take benchmark, id, response"),
        (lambda: True, "looks at nothing of an output"),
    ],
)
def test_what_is_no_scorer_is_one_line(scorer, message):
    with pytest.raises(ConfigError, match=message):
        user_rule("own", scorer)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_our_protocols_keep_the_contract(name):
    check_protocol(name)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (lambda response: "right", "may return True, False"),
        (lambda response: True, "an empty response was found correct"),
        (lambda response, seen=[]: bool(len(seen) % 2) or seen.append(1), "two verdicts on the response"),
    ],
)
def test_a_broken_scorer_is_named(scorer, message):
    with pytest.raises(AssertionError, match=message):
        check_protocol(scorer)


def test_a_file_is_named_after_a_protocol_on_every_system():
    assert file_name_of("my_pkg.scorers:mine") == "my_pkg.scorers.mine"


@pytest.fixture
def rescore(tmp_path):
    """Runs `vasari rescore` in a folder with a scorer of its own."""
    (tmp_path / "my_scorers.py").write_text(
        "def ends_with(response, answer):\n    return response.rstrip('.').endswith(answer)\n"
    )
    rows = [{"id": str(n), "benchmark": "own", "response": f"It is {n % 3}.", "answer": "1"} for n in range(200)]
    (tmp_path / "outputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(*more, expect=0):
        command = ["rescore", "outputs.jsonl", "--protocol", "my_scorers:ends_with", "--protocol", "vasari", "--out", "scores"]
        done = subprocess.run(
            [sys.executable, "-m", "vasari", *command, *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == expect, done.stderr
        return done.stderr if expect else tmp_path / "scores"

    return run


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_stored_outputs_are_scored_by_it_in_one_process_and_in_several(rescore, workers):
    scores = read_json(rescore("--plugin", "my_scorers", "--workers", workers) / "scores.json")
    assert "my_scorers:ends_with" in json.dumps(scores)
    verdicts = [json.loads(line) for line in (rescore_folder(rescore) / "verdicts.jsonl").read_text().splitlines()]
    assert sum(row["outcome"] == "correct" for row in verdicts) == 67


def rescore_folder(rescore):
    return rescore("--plugin", "my_scorers")


@pytest.mark.slow
def test_a_scorer_of_a_package_that_was_not_allowed_is_refused(rescore):
    assert "which a recipe may not run by itself" in rescore(expect=1)
