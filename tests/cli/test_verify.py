"""`vasari verify`: one answer in words, a file of pairs, and what it refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from vasari.cli.main import app


def run(*words, text=None):
    return CliRunner().invoke(app, ["verify", *map(str, words)], input=text)


def test_one_answer_is_explained_step_by_step():
    found = run(r"So x is \boxed{\frac{1}{3}}.", "--answer", "0.5")
    assert found.exit_code == 0
    assert r"'\\frac{1}{3}', from the last box" in found.output
    assert "with '0.5', as number" in found.output
    assert "incorrect, decided by 'number'" in found.output
    assert r"\frac{1}{3} is not 0.5" in found.output


def test_a_response_is_read_from_stdin():
    found = run("-", "--answer", "B", "--choice", "red", "--choice", "blue", text="It is blue.")
    assert "correct, decided by" in found.output
    assert "as choice" in found.output


def test_nothing_read_is_said():
    found = run("<think>5</think>", "--answer", "5")
    assert "read       nothing, from no box, block or phrase" in found.output
    assert "the response states no answer" in found.output


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"id": "a", "response": "\\boxed{5}", "answer": "5"},
        {"id": "b", "response": "\\boxed{6}", "answer": "5"},
        {"response": "It is (B).", "answer": "B", "choices": ["x", "y"], "kind": "choice"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_shows_what_is_not_correct_and_counts(pairs):
    found = run("--pairs", pairs)
    assert found.exit_code == 0
    assert "b: incorrect by number: '6' for '5'; 6 is not 5" in found.output
    assert "a: " not in found.output
    assert "3 answers: 2 correct, 1 incorrect" in found.output


def test_a_file_as_json_has_a_line_for_each_row(pairs):
    lines = [
        line for line in run("--pairs", pairs, "--json").output.splitlines() if line[:1] == "{"
    ]
    found = [json.loads(line) for line in lines]
    assert [row["outcome"] for row in found] == ["correct", "incorrect", "correct"]
    assert (found[1]["id"], found[1]["reason"]) == ("b", "6 is not 5")
    assert found[2]["kind"] == "choice"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["5"], "give a response and --answer"),
        (["--pairs", "missing.jsonl", "--answer", "5"], "not both"),
        (["5", "--answer", "5", "--kind", "colour"], "kind must be one of"),
    ],
)
def test_what_cannot_be_verified_is_refused_with_the_way_out(words, problem):
    found = run(*words)
    assert found.exit_code == 1
    assert problem in str(found.exception)


def test_a_row_without_text_names_its_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"response": "5", "answer": "5"}\n{"response": ["5"], "answer": "5"}\n')
    found = run("--pairs", path)
    assert "pairs.jsonl:2: 'response' must be text, got ['5']" in str(found.exception)
