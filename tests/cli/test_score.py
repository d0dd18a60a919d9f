"""`vasari score`: small files whose scores are worked by hand, and every kind of bad input."""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vasari.cli.main import main
from vasari.train.group_file import write_groups

# Two rollouts without a common word: BLEU 0, TDS 1. Identical ones of three words: TDS 0.
APART = ["one two three", "four five six"]
ALIKE = ["one two three"] * 2


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `vasari score` and returns what it printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", "score", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert stop.value.code in (0, None), said.err
        return said.out

    return call


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs `vasari score`, which must fail in one line, and returns that line."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", "score", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        _, mark, message = said.err.partition("error: ")
        assert (stop.value.code, bool(mark), "Traceback" in said.err) == (1, True, False)
        assert "\n" not in message.rstrip("\n")
        return message.rstrip("\n")

    return call


@pytest.fixture
def lines(tmp_path):
    """Writes JSON lines."""

    def write(*rows, name="rollouts.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def read_lines(path):
    return {row["prompt_id"]: row for row in map(json.loads, path.read_text().splitlines())}


def rollouts(prompt, verdicts, texts, **more):
    return [
        {"prompt_id": prompt, "verdict": v, "text": t, **more}
        for v, t in zip(verdicts, texts, strict=True)
    ]


def test_each_prompt_has_the_scores_of_its_formulas(run, lines):
    path = lines(
        *rollouts("a", [1, 0], APART),
        *rollouts("b", [True, "correct"], ALIKE),
        *rollouts("c", [None, 0], APART),
    )
    said = run(path)
    found = read_lines(path.with_name("rollouts.scores.jsonl"))
    # a: p = 1/2, OVS 1/4, TDS 1, 0.8 / 4 + 0.2 = 0.4. b: all correct and alike. c: one verifiable
    # rollout, incorrect.
    assert found["a"] == {
        "prompt_id": "a",
        "num_rollouts": 2,
        "num_unverifiable": 0,
        "pass_rate": 0.5,
        "mean_reward": None,
        "ovs": 0.25,
        "tds": 1.0,
        "vps": pytest.approx(0.4),
    }
    assert [found["b"][name] for name in ("pass_rate", "ovs", "tds", "vps")] == pytest.approx(
        [1, 0, 0, 0], abs=1e-12
    )
    assert [found["c"][name] for name in ("num_unverifiable", "pass_rate", "ovs", "vps")] == [
        1,
        0,
        0,
        0.2,
    ]
    assert "3 prompts, 6 rollouts, 1 of them unverifiable" in said
    assert "never solved: 1; always: 1; mixed: 1" in said
    assert "diversity is of words" in said


def test_rollouts_of_a_prompt_need_not_stand_together(run, lines, tmp_path):
    first, second = rollouts("a", [1, 0], APART)
    run(lines(first, *rollouts("b", [1, 1], ALIKE), second), "--out", tmp_path / "out.jsonl")
    assert read_lines(tmp_path / "out.jsonl")["a"]["ovs"] == 0.25


def test_a_row_may_be_a_group(run, lines, tmp_path):
    path = lines(
        {
            "prompt_id": "a",
            "token_ids": [[1, 2, 3], [4, 5, 6]],
            "verdicts": [1, 0],
            "rewards": [2.0, 1.0],
        }
    )
    said = run(path)
    found = read_lines(tmp_path / "rollouts.scores.jsonl")["a"]
    assert (found["vps"], found["mean_reward"]) == (pytest.approx(0.4), 1.5)
    assert "diversity is of token ids" in said


def test_the_options_reach_the_formulas(run, lines, tmp_path):
    path, out = lines(*rollouts("a", [1, 0], APART)), tmp_path / "o.jsonl"
    run(
        path,
        "--out",
        out,
        "--ovs",
        "unbiased",
        "--normalise",
        "range",
        "--alpha",
        0.5,
        "--beta",
        0.1,
        "--metric",
        "edit_distance",
    )
    # 2 / 1 x 1/4 = 1/2; all three words replaced: distance 1; 0.5 x 4 x 0.5 + 0.1.
    assert [read_lines(out)["a"][name] for name in ("ovs", "tds", "vps")] == pytest.approx(
        [0.5, 1.0, 1.1]
    )


def test_without_the_weight_of_diversity_no_text_is_needed(run, lines, tmp_path):
    run(lines({"id": 7, "verdicts": [1, 0, 0, 0]}), "--beta", 0)
    found = read_lines(tmp_path / "rollouts.scores.jsonl")["7"]
    assert (found["tds"], found["vps"]) == (None, pytest.approx(0.8 * 3 / 16))


def test_an_unknown_diversity_leaves_the_score_unknown(run, lines, tmp_path):
    run(lines({"id": "a", "verdicts": [1, 0]}, *rollouts("b", [1], ["alone"])))
    found = read_lines(tmp_path / "rollouts.scores.jsonl")
    assert [(found[name]["tds"], found[name]["vps"]) for name in "ab"] == [(None, None)] * 2


def test_a_reference_answer_is_verified(run, lines, tmp_path):
    texts = [
        "I think <answer>\\boxed{12}</answer>",
        "<answer>\\boxed{13}</answer>",
        "no answer at all",
    ]
    run(lines(*({"prompt_id": "a", "response": text, "answer": "12"} for text in texts)))
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["a"]["pass_rate"] == pytest.approx(1 / 3)


def test_choices_and_kind_reach_the_verifier(run, lines, tmp_path):
    row = {
        "id": "a",
        "text": "\\boxed{a red kite}",
        "answer": "B",
        "choices": ["a blue one", "a red kite"],
        "kind": "choice",
    }
    run(lines(row))
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["a"]["pass_rate"] == 1.0


def test_rewards_of_zero_and_one_alone_are_verdicts(run, lines, tmp_path):
    run(lines({"id": "a", "rewards": [1, 0, 0, 1]}), "--beta", 0)
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["a"]["pass_rate"] == 0.5


def test_graded_rewards_have_a_variance_and_no_pass_rate(run, lines, tmp_path):
    # All 0.5: p(1 - p) would be the maximum. 0, 1 and 2 vary by 2/3; without bias, by 1.
    path = lines(
        {"id": "a", "rewards": [0.5, 0.5]},
        {"id": "b", "rewards": [0, 1, 2]},
        {"id": "c", "rewards": [1, 0]},
    )
    said = run(path, "--beta", 0)
    found = read_lines(tmp_path / "rollouts.scores.jsonl")
    assert [found[name]["ovs"] for name in "abc"] == pytest.approx([0, 2 / 3, 1 / 4])
    assert found["c"]["pass_rate"] is None
    assert "graded rewards have no pass rate" in said
    run(path, "--beta", 0, "--ovs", "unbiased", "--overwrite")
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["b"]["ovs"] == pytest.approx(1.0)


def test_the_last_step_of_a_prompt_counts_unless_all_are_pooled(run, lines, tmp_path):
    path = lines(
        *rollouts("a", [1, 1], APART, step=3),
        *rollouts("a", [0, 0], APART, step=1),
        *rollouts("b", [0, 1], APART, step=1),
    )
    said = run(path)
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["a"]["pass_rate"] == 1.0
    assert "2 rollouts of earlier batches left out" in said
    run(path, "--groups", "pool", "--overwrite")
    assert read_lines(tmp_path / "rollouts.scores.jsonl")["a"]["pass_rate"] == 0.5


def group_row(prompt, batch, verdicts):
    nothing = {
        "purpose": "train",
        "role": "uniform",
        "prompt_index": 0,
        "step": batch,
        "score": math.nan,
        "rewards": [1.0 + v for v in verdicts],
        "texts": APART,
    }
    return {"prompt_id": prompt, "batch": batch, "verdicts": verdicts} | nothing


@pytest.fixture
def trained(tmp_path):
    """A run of two arms; prompt p is drawn in batches 0 and 1 by vas."""
    groups = tmp_path / "run" / "rl" / "vas" / "groups"
    write_groups(
        groups, 0, "train", [group_row("p", 0, [0.0, 0.0]), group_row("q", 0, [1.0, math.nan])]
    )
    write_groups(groups, 1, "train", [group_row("p", 1, [1.0, 0.0])])
    write_groups(
        tmp_path / "run" / "rl" / "uniform" / "groups", 0, "train", [group_row("p", 0, [1.0, 1.0])]
    )
    return tmp_path / "run"


def test_an_arm_of_a_run_is_scored_beside_its_groups(run, trained):
    said = run(trained, "--arm", "vas")
    found = {
        row["prompt_id"]: row
        for row in pq.read_table(trained / "rl" / "vas" / "groups.scores.parquet").to_pylist()
    }
    assert (found["p"]["pass_rate"], found["p"]["mean_reward"], found["q"]["num_unverifiable"]) == (
        0.5,
        1.5,
        1,
    )
    assert "2 prompts, 4 rollouts, 1 of them unverifiable" in said


def test_a_folder_of_groups_may_be_given_itself(run, trained, tmp_path):
    for place, folder in enumerate((trained / "rl" / "vas", trained / "rl" / "vas" / "groups")):
        run(folder, "--out", tmp_path / f"{place}.jsonl")
    assert (tmp_path / "0.jsonl").read_text() == (tmp_path / "1.jsonl").read_text()


def test_sets_and_decodings_of_an_evaluation_stay_apart(run, tmp_path):
    path = tmp_path / "base-rollouts.parquet"
    rows = [
        {"prompt_id": "a", "set": "test", "decoding": d, "texts": APART, "verdicts": v}
        for d, v in (("sampled", [1.0, 0.0]), ("blind", [0.0, 0.0]))
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    run(path)
    found = pq.read_table(tmp_path / "base-rollouts.scores.parquet").to_pylist()
    assert [(row["decoding"], row["ovs"]) for row in found] == [("sampled", 0.25), ("blind", 0.0)]


def test_csv_leaves_unknown_numbers_empty(run, lines, tmp_path):
    run(
        lines(*rollouts('a "quoted", id', [1, 0], APART), *rollouts("é", [None], ["x"])),
        "--out",
        tmp_path / "s.csv",
    )
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["prompt_id"], row["pass_rate"]) for row in rows] == [
        ('a "quoted", id', "0.5"),
        ("é", ""),
    ]


def test_packed_lines_are_read(run, lines, tmp_path):
    plain = lines(*rollouts("a", [1, 0], APART))
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    run(tmp_path / "packed.jsonl.gz")
    assert read_lines(tmp_path / "packed.scores.jsonl")["a"]["ovs"] == 0.25


def test_an_output_that_exists_is_kept_unless_told(refused, run, lines, tmp_path):
    path = lines(*rollouts("a", [1, 0], APART))
    (tmp_path / "rollouts.scores.jsonl").write_text("mine")
    assert "exists; choose another --out, or replace it with --overwrite" in refused(path)
    assert (tmp_path / "rollouts.scores.jsonl").read_text() == "mine"
    assert "is the input" in refused(path, "--out", path, "--overwrite")
    run(path, "--overwrite")
    assert len(read_lines(tmp_path / "rollouts.scores.jsonl")) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "rollouts.jsonl",
        "rollouts.scores.jsonl",
    ]


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
