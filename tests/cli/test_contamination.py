"""`vasari contamination`: files and native layouts, the two reports, and errors in one line."""

from __future__ import annotations

import json
import sys

import pytest

from vasari.cli.main import main
from vasari.data.prompt_file import write_prompts
from vasari.records import Prompt

QUESTION = "In triangle ABC, AB = 3 and BC = 4, and the angle at B is right. Find the length of AC."


def prompt(identity, question=QUESTION, answer="5"):
    return Prompt(id=identity, question=question, answer=answer)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs `vasari contamination` in a folder with a training file and a benchmark, and returns
    what it printed."""
    monkeypatch.chdir(tmp_path)
    write_prompts(
        tmp_path / "rl.parquet",
        [prompt("a"), prompt("b", "How many red bars are there in the chart?", "3")],
    )
    write_prompts(
        tmp_path / "quiz.parquet",
        [prompt("q1"), prompt("q2", "Is the tallest of the eight bars in the chart blue?", "yes")],
    )

    def call(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["vasari", "contamination", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code, said.err
        return " ".join((said.out + said.err).split())

    return call


def test_both_reports_name_the_benchmark_prompt_and_the_training_prompt(run, tmp_path):
    said = run("rl.parquet", "--benchmark", "quiz.parquet", "--out", "leaks")
    assert "quiz 2 1 50.00% 0 0 1" in said
    report = json.loads((tmp_path / "leaks/contamination.json").read_text())
    (row,) = report["benchmarks"]
    assert (report["num_training"], row["name"], row["share"]) == (2, "quiz", 0.5)
    assert (row["found"][0]["id"], row["found"][0]["training"][0]["id"]) == ("q1", "a")
    page = (tmp_path / "leaks/contamination.md").read_text()
    assert "| quiz | 2 | 1 | 50.00% | 0 | 0 | 1 | 1 | 0 |" in page
    assert "* `q1`: text in `a` (1.00 of its words, same numbers, no figure compared)" in page


def test_benchmarks_of_one_name_are_told_apart(run, tmp_path):
    (tmp_path / "other").mkdir()
    write_prompts(tmp_path / "other/quiz.parquet", [prompt("q1")])
    run(
        "rl.parquet",
        "--benchmark",
        "quiz.parquet",
        "--benchmark",
        "other/quiz.parquet",
        "--out",
        "leaks",
    )
    names = [
        row["name"]
        for row in json.loads((tmp_path / "leaks/contamination.json").read_text())["benchmarks"]
    ]
    assert names == ["quiz.parquet", "other/quiz.parquet"]


def test_a_public_data_set_is_read_in_its_own_layout_and_bad_rows_are_counted(run, tmp_path):
    rows = [
        {"id": "1", "question": QUESTION, "answer": "5"},
        {"id": "2", "question": "", "answer": "5"},
    ]
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = run("jsonl=set", "--benchmark", "quiz.parquet", "--out", "leaks", "--text-only")
    assert "quiz 2 1 50.00%" in said
    assert "1 rows hold no prompt, the first: jsonl: train.jsonl" in said


def test_a_report_is_not_overwritten_unasked(run):
    words = ("rl.parquet", "--benchmark", "quiz.parquet", "--out", "leaks")
    run(*words)
    assert "holds a report already" in run(*words, code=1)
    run(*words, "--overwrite")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rl.csv", "--benchmark", "quiz.parquet"), "'rl.csv': expected a prompt file"),
        (("rl.parquet", "--benchmark", "nosuch=folder"), "'nosuch=folder': expected a prompt file"),
        (("gone.parquet", "--benchmark", "quiz.parquet"), "gone.parquet: there is no such file"),
        (("rl.parquet", "--benchmark", "geometry3k=nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_read_is_one_line(run, words, message):
    said = run(*words, "--out", "leaks", code=1)
    assert message in said
    assert "Traceback" not in said


def test_a_benchmark_without_a_prompt_is_an_error_and_no_clean_report(run, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.jsonl").write_text(
        '{"id": "1", "question": "Which?", "answer": "5", "image": "gone.png"}\n'
    )
    said = run("rl.parquet", "--benchmark", "jsonl=set", "--out", "leaks", code=1)
    assert "jsonl=set: no prompt could be read, the first row is bad: " in said
    assert not (tmp_path / "leaks").exists()


def test_help_shows_examples(run):
    assert "vasari contamination rl.parquet --benchmark mathvista.parquet" in run("--help")
