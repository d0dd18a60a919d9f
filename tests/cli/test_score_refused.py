"""`vasari score` on bad input: one line that names file, row and reason."""

from __future__ import annotations

import sys

import pytest

GOOD = {"prompt_id": "a", "text": "x y z", "verdict": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"text": "x", "verdict": 1},
            ["rollouts.jsonl:2", "has no prompt id (columns read: prompt_id"],
        ),
        (
            {"prompt_id": "b", "text": "x"},
            [":2: prompt 'b': has no verdict, no reward, and no text with a reference answer"],
        ),
        (
            {**GOOD, "verdict": 0.5},
            ["a verdict must be 1, 0, true", "got 0.5", "graded numbers are rewards"],
        ),
        ({**GOOD, "verdict": "maybe"}, ["got 'maybe'"]),
        ({**GOOD, "text": 5}, ["a rollout's text must be text, got int"]),
        (
            {"prompt_id": "a", "text": ["x", "y"], "verdict": [1]},
            ["do not tell of the same rollouts: {'text': 2, 'verdict': 1}"],
        ),
        ({"prompt_id": "a", "text": [], "verdict": []}, ["do not tell of the same rollouts"]),
        ({**GOOD, "reward": "high"}, ["reward must be a finite number, got 'high'"]),
        (
            {"prompt_id": "a", "verdict": 1, "token_ids": [1, 2]},
            ["has token ids where earlier rows have words"],
        ),
        ({**GOOD, "step": "three"}, ["batch or step must be a finite number"]),
        (
            {"prompt_id": "a", "text": "x", "answer": "1", "kind": "poem"},
            ["kind must be one of", "got 'poem'"],
        ),
        ([1, 2], [":2: expected a JSON object, got list"]),
    ],
)
def test_a_bad_row_names_its_line(refused, lines, tmp_path, row, words):
    message = refused(lines(GOOD, row))
    assert all(word in message for word in words), message
    assert not (tmp_path / "rollouts.scores.jsonl").exists()


@pytest.mark.parametrize(
    ("ids", "word"),
    [
        ([1, -100], "-100 is no token id; leave padding out"),
        ([1.5], "whole numbers"),
        (["a"], "whole numbers"),
    ],
)
def test_what_is_no_token_id_is_refused(refused, lines, ids, word):
    assert word in refused(lines({"id": "a", "verdicts": [1], "token_ids": [ids]}))


def test_what_is_no_file_of_rollouts_is_refused(refused, lines, tmp_path):
    for name, content in (
        ("cut.jsonl", b'{"id": '),
        ("cut.jsonl.gz", b"\x1f\x8b\x08 no"),
        ("cut.parquet", b"PAR1"),
        ("a.txt", b""),
        ("empty.jsonl", b"\n\n"),
    ):
        (tmp_path / name).write_bytes(content)
    assert "cut.jsonl:1: not valid JSON" in refused(tmp_path / "cut.jsonl")
    assert "cannot be read" in refused(tmp_path / "cut.jsonl.gz")
    assert "cannot be read as Parquet" in refused(tmp_path / "cut.parquet")
    assert "rollouts are read from .jsonl" in refused(tmp_path / "a.txt")
    assert "holds no rollouts" in refused(tmp_path / "empty.jsonl")
    assert "there is no such file or folder" in refused(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    assert "holds no group files" in refused(tmp_path / "folder")


def test_a_run_with_several_arms_wants_one_named(refused, trained):
    assert "choose one with --arm: uniform, vas" in refused(trained)
    assert "holds no groups of arm 'beta'; there are: uniform, vas" in refused(
        trained, "--arm", "beta"
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (
            ["--metric", "bleu"],
            "metric must be one of self_bleu, distinct_n, edit_distance, got 'bleu'",
        ),
        (["--ovs", "exact"], "ovs must be one of plugin, unbiased, got 'exact'"),
        (["--groups", "first"], "groups must be one of last, pool, got 'first'"),
        (["--normalise", "rank"], "normalise must be one of none, range"),
        (["--beta", "-1"], "beta must be finite and at least 0"),
        (["--n", "0"], "n >= 1, got 0"),
        (["--out", "scores.xlsx"], "scores are written as .jsonl, .csv, .parquet"),
    ],
)
def test_impossible_options_are_refused(refused, lines, options, word):
    assert word in refused(lines(GOOD), *options)


def test_range_needs_verdicts(refused, lines):
    assert "normalise=range needs verdicts" in refused(
        lines({"id": "a", "rewards": [0.5, 2]}), "--normalise", "range", "--beta", 0
    )


def test_without_pyarrow_parquet_is_refused_and_lines_are_not(
    refused, run, lines, monkeypatch, trained
):
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = lines(GOOD)
    assert "reading Parquet needs pyarrow: pip install 'vasari[jobs]'" in refused(
        trained, "--arm", "vas", "--out", trained / "s.csv"
    )
    assert "writing Parquet needs pyarrow" in refused(path, "--out", "scores.parquet")
    assert "1 prompts" in run(path)
