"""`vasari advise` on files of rollouts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from vasari.cli.main import app


@pytest.fixture
def rollouts(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "rollouts.jsonl"
    with path.open("w") as file:
        for prompt, rate in enumerate(1 / (1 + np.exp(-3 * rng.standard_normal(150)))):
            for verdict in rng.random(8) < rate:
                file.write(json.dumps({"prompt_id": f"p{prompt}", "verdict": int(verdict)}) + "\n")
    return path


def run(*words):
    return CliRunner().invoke(app, ["advise", *map(str, words)])


def test_advice_is_printed_in_words_and_as_json(rollouts):
    words = run(rollouts)
    assert words.exit_code == 0
    assert "silent groups of 8 under uniform" in words.output
    # Nothing but verdicts, and one pass: there is nothing to choose by.
    assert "The pool is passed 1 times: a prompt's own groups come too late" in words.output
    found = json.loads(run(rollouts, "--groups", 600, "--json").output)
    assert found["passes"] == 4.0
    assert found["sampler"] == "uniform"
    assert "gained nothing" in found["reasons"][0]
    assert found["coherence"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rollouts-per-prompt", 1], "--rollouts-per-prompt must be at least 2, got 1"),
        (["--groups", 0], "--groups must be at least 1, got 0"),
    ],
)
def test_impossible_numbers_are_refused(rollouts, words, message):
    assert message in str(run(rollouts, *words).exception)


def test_graded_rewards_are_not_taken_for_verdicts(tmp_path):
    path = tmp_path / "graded.jsonl"
    path.write_text('{"prompt_id": "a", "reward": 0.3}\n{"prompt_id": "a", "reward": 0.9}\n')
    assert "holds graded rewards and no verdicts" in str(run(path).exception)
    path.write_text('{"prompt_id": "a", "reward": 1}\n{"prompt_id": "a", "reward": 0}\n')
    assert run(path).exit_code == 0


def test_rollouts_of_several_decodings_are_not_mixed(tmp_path):
    path = tmp_path / "evaluation.jsonl"
    rows = [
        {"prompt_id": "a", "set": "test", "decoding": decoding, "verdict": verdict}
        for decoding in ("sampled", "greedy")
        for verdict in (1, 0)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = "several sets or decodings (test greedy, test sampled); give a file of one"
    assert message in str(run(path).exception)
