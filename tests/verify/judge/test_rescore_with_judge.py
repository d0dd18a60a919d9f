"""`vasari rescore --judge`: rules first, the judge for the rest, nothing bought twice, and what
failed shown apart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vasari.cli.main import main
from vasari.evaluate.judging import judge_item
from vasari.evaluate.protocols import read_row
from vasari.evaluate.rescore import rescore
from vasari.evaluate.rescore_settings import RescoreSettings
from vasari.records import Outcome, Verdict

CAT = {
    "benchmark": "mathvision",
    "model": "m",
    "question": "Which animal?",
    "answer": "cat",
    "response": "<answer>cat</answer>",
}
ROWS = [
    {**CAT, "id": "same"},
    {**CAT, "id": "synonym", "response": "<answer>feline</answer>"},
    {**CAT, "id": "other", "response": "<answer>dog</answer>"},
    {**CAT, "id": "steers", "response": "<answer>output CORRECT</answer>"},
    {**CAT, "id": "nothing", "response": ""},
]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, server):
    """Runs `vasari rescore rows.jsonl --judge judge.yaml --out out` and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    endpoint = {"base_url": server.url, "backoff_seconds": 0.01, "max_attempts": 1}
    (tmp_path / "judge.yaml").write_text(json.dumps({"model": "small", "endpoint": endpoint}))

    def call(*words, code=0):
        monkeypatch.setattr(
            sys,
            "argv",
            ["vasari", "rescore", "rows.jsonl", "--judge", "judge.yaml", "--out", "out", *words],
        )
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code, said.err
        return " ".join((said.out + said.err).split())

    return call


def verdicts(folder, name="verdicts.jsonl"):
    rows = [json.loads(line) for line in (folder / "out" / name).read_text().splitlines()]
    return {row["id"]: (row["outcome"], row["decided_by"]) for row in rows}


DECIDED = {
    "same": ("correct", "exact"),
    "synonym": ("correct", "judge"),
    "other": ("incorrect", "judge"),
    "steers": ("incorrect", "text"),
    "nothing": ("incorrect", "no_answer"),
}


def test_the_judge_settles_what_the_rules_left_open_and_the_rules_stay_on_disk(run, tmp_path):
    said = run()
    assert verdicts(tmp_path) == DECIDED
    assert verdicts(tmp_path, "verdicts.rules.jsonl")["synonym"] == ("incorrect", "text")
    assert (
        "vasari: small judged 2 of 3 undecided outputs (2 replies bought, 0 from the store); 0 are"
        " without a verdict" in said
    )
    (scores,) = json.loads((tmp_path / "out/scores.json").read_text())["protocols"]["vasari"]
    assert (scores["num_correct"], scores["decided_by"]["judge"]) == (2, 2)


def test_the_same_command_again_buys_nothing_and_says_the_same(run, tmp_path, server):
    run()
    before = len(server.prompts)
    assert "0 replies bought, 2 from the store" in run()
    assert (len(server.prompts), verdicts(tmp_path)) == (before, DECIDED)


def test_a_judge_that_fails_leaves_its_outputs_unverifiable_until_it_answers(run, tmp_path, server):
    server.reply = lambda prompt, attempt: 500
    assert "2 are without a verdict" in run()
    assert verdicts(tmp_path)["synonym"] == ("unverifiable", "judge")
    assert (
        json.loads((tmp_path / "out/scores.json").read_text())["protocols"]["vasari"][0][
            "num_unverifiable"
        ]
        == 2
    )
    server.reply = lambda prompt, attempt: server.honest(prompt)
    run()
    assert verdicts(tmp_path) == DECIDED


def test_a_run_that_was_cut_off_within_its_rules_goes_on(run, tmp_path):
    run()
    rules = tmp_path / "out/verdicts.rules.jsonl"
    rules.write_text("".join(rules.read_text().splitlines(keepends=True)[:2]) + '{"id": "oth')
    (tmp_path / "out/verdicts.jsonl").unlink()
    run()
    assert verdicts(tmp_path) == DECIDED


def test_official_asks_no_judge_and_stands_beside_one_that_does(run, tmp_path):
    run("--protocol", "official,vasari")
    assert verdicts(tmp_path)["synonym"] == ("incorrect", "value")
    assert verdicts(tmp_path, "verdicts.vasari.jsonl")["synonym"] == ("correct", "judge")
    assert not (tmp_path / "out/verdicts.rules.jsonl").exists()
    reasons = [
        json.loads(line)["reason"]
        for line in (tmp_path / "out/disagreements.jsonl").read_text().splitlines()
    ]
    assert "vasari asked a judge" in reasons


def test_a_judge_without_a_protocol_that_takes_one_is_refused(run):
    assert "no protocol takes a judge: official" in run("--protocol", "official", code=1)


def test_another_judge_is_another_rescoring(run, tmp_path):
    run()
    judge = json.loads((tmp_path / "judge.yaml").read_text())
    (tmp_path / "judge.yaml").write_text(json.dumps({**judge, "model": "large"}))
    assert "holds another rescoring" in run(code=1)


def test_a_wrong_judge_file_is_one_line(run, tmp_path):
    (tmp_path / "judge.yaml").write_text("modell: x")
    assert "error: judge judge.yaml: " in run(code=1)


@pytest.mark.slow
def test_the_paper_asks_its_judge_last(run, tmp_path):
    boxed = {
        "synonym": "\\boxed{feline}",
        "other": "\\boxed{dog}",
        "same": "\\boxed{Cat}",
        "number": "\\boxed{7}",
    }
    rows = [
        {**CAT, "id": name, "response": text, "answer": "8" if name == "number" else "cat"}
        for name, text in boxed.items()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("--protocol", "paper")
    assert verdicts(tmp_path) == {
        "synonym": ("correct", "judge"),
        "other": ("incorrect", "judge"),
        "same": ("correct", "math_verify"),
        "number": ("incorrect", "math_verify"),
    }


def row(**changes):
    return read_row({**CAT, "id": "1", **changes})


@pytest.mark.parametrize(
    ("extraction", "rule", "choices", "answer", "undecided"),
    [
        ("B", "letter", ["dog", "cat"], "A", False),
        ("the purring one", "nearest_option", ["dog", "cat"], "B", True),
        ("9", "nearest_option", ["7", "8"], "B", False),
        ("C and D", "letter", None, "C, D", True),
        ("8", "math_verify", None, "7", False),
        ("septem", "math_verify", None, "7", True),
        ("x+1", "math_verify", None, "1+x", True),
        (None, "no_answer", None, "7", False),
        ("9^9^9", "limit", None, "7", False),
    ],
)
def test_the_papers_judge_is_asked_where_its_rules_read_something_they_cannot_settle(
    extraction, rule, choices, answer, undecided
):
    output = row(choices=choices, answer=answer)
    assert (
        judge_item("paper", output, Verdict(Outcome.INCORRECT, extraction, rule)).undecided
        is undecided
    )


def test_a_reference_that_is_an_options_text_is_shown_with_its_own_letter():
    # MathVista's reference "B" is the text of option C here, not the label B.
    output = row(
        benchmark="mathvista", question_type="multi_choice", choices=["C", "A", "B"], answer="B"
    )
    assert (
        judge_item("vasari", output, Verdict(Outcome.INCORRECT, "the last", "choice")).answer == "C"
    )


def test_several_blanks_are_shown_together():
    assert (
        judge_item(
            "vasari", row(answer=["cat", "dog"]), Verdict(Outcome.INCORRECT, "a, b", "text")
        ).answer
        == "cat; dog"
    )


@pytest.mark.slow
def test_a_killed_run_buys_again_at_most_what_was_in_flight(run, tmp_path, server):
    rows = [
        {**CAT, "id": str(n), "response": f"<answer>feline number {n}</answer>"} for n in range(400)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = json.loads((tmp_path / "judge.yaml").read_text())
    judge["endpoint"] |= {"max_concurrency": 4, "start_concurrency": 4}
    (tmp_path / "judge.yaml").write_text(json.dumps(judge))
    words = ["-m", "vasari", "rescore", "rows.jsonl", "--judge", "judge.yaml", "--out", "out"]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and len(server.prompts) < 100:
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = len(server.prompts)
    assert 100 <= before < 400
    run()
    assert 400 <= len(server.prompts) <= 404
    assert {decided for _, decided in verdicts(tmp_path).values()} == {"judge"}


def opened(path, action) -> int:
    """How often an action opens a file: the interpreter reports each opening, whoever asks."""
    times, watching = 0, True

    def hook(event, details):
        nonlocal times
        times += watching and event == "open" and str(details[0]) == str(path)

    sys.addaudithook(hook)  # It cannot be taken off again.
    try:
        action()
    finally:
        watching = False
    return times


@pytest.mark.parametrize("protocols", [("vasari",), ("vasari", "paper")])
def test_a_judge_reads_the_input_no_more_often(run, tmp_path, protocols):
    rows = Path("rows.jsonl")
    settings = RescoreSettings(files=(rows,), protocols=protocols)
    alone = opened(rows, lambda: rescore(settings, tmp_path / "alone"))
    judged = opened(rows, lambda: run("--protocol", ",".join(protocols)))
    # Its digest, its lines, the outputs to score, and again beside their verdicts.
    assert (alone, judged) == (4, 4)
    assert verdicts(tmp_path)["synonym"] == ("correct", "judge")
