"""Advice from a run's folder: sizes of its recipe, coherence, and what wording tells."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.data.prompt_file import write_prompts
from vasari.records import Prompt
from vasari.run.advise import advise_on
from vasari.train.group_file import write_groups

NUM = 96


def made_run(root, *, telling):
    """A run of 12 batches of 8; verdicts follow confidence, and wording where `telling`."""
    rng = np.random.default_rng(0)
    hard = rng.random(NUM) < 0.5
    words = [
        "hard one" if own else "easy one" for own in (hard if telling else rng.permutation(hard))
    ]
    prompts = [
        Prompt(id=f"p{i}", question=f"What is it, {word}?", answer="1")
        for i, word in enumerate(words)
    ]
    write_prompts(root / "prompts" / "train.parquet", prompts)
    grpo = {"steps": 48, "updates_per_batch": 2, "prompts_per_batch": 8}
    (root / "settings.json").write_text(json.dumps({"recipe": {"grpo": grpo}}))
    for batch in range(12):
        rows = []
        for index in range(8 * batch, 8 * batch + 8):
            verdicts = (rng.random(8) < (0.1 if hard[index] else 0.9)).astype(float)
            rows.append(
                {
                    "batch": batch,
                    "prompt_index": index,
                    "prompt_id": f"p{index}",
                    "purpose": "train",
                    "rewards": verdicts.tolist(),
                    "verdicts": verdicts.tolist(),
                    "confidence": (verdicts - 2.0).tolist(),
                }
            )
        write_groups(root / "rl" / "uniform" / "groups", batch, "train", rows)
    return root


def test_a_run_tells_its_sizes_coherence_and_what_its_wording_is_worth(tmp_path):
    told = advise_on(made_run(tmp_path / "told", telling=True))
    # 24 batches of 8 from 96 prompts.
    assert told.passes == 2.0
    assert told.coherence == pytest.approx(1.0)
    assert told.saved > 0.2
    other = advise_on(made_run(tmp_path / "other", telling=False), num_groups=48)
    assert other.passes == 0.5
    assert other.saved < 0.05


def rows_of(batch, purpose, indices, verdicts):
    return [
        {
            "batch": batch,
            "prompt_index": int(index),
            "prompt_id": f"p{index}",
            "purpose": purpose,
            "rewards": own.tolist(),
            "verdicts": own.tolist(),
            "confidence": (own - 2.0).tolist(),
        }
        for index, own in zip(indices, verdicts, strict=True)
    ]


def test_the_first_group_of_each_prompt_counts_whatever_it_was_for(tmp_path):
    # A refresh of 32 rollouts each, a screening of 2, then groups of a policy that solves all: what
    # is advised on is the start, with training groups of 8.
    run = made_run(tmp_path, telling=True)
    folder = run / "rl" / "vas" / "groups"
    rng = np.random.default_rng(1)
    rates = np.where(np.arange(NUM) % 2, 0.5, 0.02)
    refresh = (rng.random((NUM, 32)) < rates[:, None]).astype(float)
    write_groups(folder, 0, "refresh", rows_of(0, "refresh", np.arange(NUM), refresh))
    for batch in range(1, 5):
        at = np.arange(24 * (batch - 1), 24 * batch)
        rows = rows_of(batch, "screen", at[:4], np.zeros((4, 2)))
        write_groups(folder, batch, "train", rows + rows_of(batch, "train", at, np.ones((24, 8))))
    found = advise_on(run, arm="vas")
    assert found.group_size == 8
    assert found.pass_rate == pytest.approx(rates.mean(), abs=0.03)
    expected = np.mean(rates**8 + (1 - rates) ** 8)
    assert found.silent_share == pytest.approx(expected, abs=0.06)
    assert not math.isnan(found.saved)
    # The folder of the arm or of its groups tells the same of its run.
    assert advise_on(folder) == advise_on(folder.parent) == found


def test_an_arm_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no groups of arm 'vas'; there are: uniform"):
        advise_on(made_run(tmp_path, telling=True), arm="vas")


def test_a_policy_that_improves_is_neither_a_spread_of_prompts_nor_what_features_tell(tmp_path):
    rng = np.random.default_rng(0)
    prompts = [Prompt(id=f"p{i}", question="What is it?", answer="1") for i in range(640)]
    write_prompts(tmp_path / "prompts" / "train.parquet", prompts)
    grpo = {"steps": 80, "updates_per_batch": 1, "prompts_per_batch": 8}
    (tmp_path / "settings.json").write_text(json.dumps({"recipe": {"grpo": grpo}}))
    for batch in range(80):
        rate = np.interp(batch, [0, 24, 40, 80], [0.15, 0.15, 0.9, 0.95])  # of all prompts
        rows = [
            {
                "batch": batch,
                "prompt_index": index,
                "prompt_id": f"p{index}",
                "purpose": "train",
                "rewards": (verdicts := (rng.random(8) < rate).astype(float)).tolist(),
                "verdicts": verdicts.tolist(),
                "confidence": None,
            }
            for index in range(8 * batch, 8 * batch + 8)
        ]
        write_groups(tmp_path / "rl" / "uniform" / "groups", batch, "train", rows)
    found = advise_on(tmp_path)
    assert found.num_prompts_seen == 192
    assert found.pass_rate == pytest.approx(0.15, abs=0.03)
    assert abs(found.saved) < 0.02
    assert found.sampler == "uniform"
