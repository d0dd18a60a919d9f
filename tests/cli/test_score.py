"""`vasari score`: small files whose scores are worked by hand, and every kind of bad input."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# Two rollouts without a common word: BLEU 0, TDS 1. Identical ones of three words: TDS 0.
APART = ["one two three", "four five six"]
ALIKE = ["one two three"] * 2


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
