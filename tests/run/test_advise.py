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
    assert math.isnan(advise_on(tmp_path / "told" / "rl" / "uniform" / "groups").saved)
    other = advise_on(made_run(tmp_path / "other", telling=False), num_groups=48)
    assert other.passes == 0.5
    assert other.saved < 0.05


def test_an_arm_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no groups of arm 'vas'; there are: uniform"):
        advise_on(made_run(tmp_path, telling=True), arm="vas")
