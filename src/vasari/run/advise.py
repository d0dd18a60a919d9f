"""Read what `vasari advise` looks at: a run's groups and prompts, or a file of rollouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError, DataError
from vasari.core.files import read_json
from vasari.core.records import GroupOutcome
from vasari.data.prompt_file import read_prompts
from vasari.evaluate.prompt_scores import are_verdicts
from vasari.evaluate.stored_rollouts import find_input, read_groups
from vasari.run.layout import RunDir
from vasari.sample.advice import Advice, advise
from vasari.sample.features import prompt_features
from vasari.sample.noise import coherence
from vasari.sample.registry import make_sampler
from vasari.train.group_file import read_groups as read_run_groups


def advise_on(
    path: Path,
    *,
    arm: str | None = None,
    group_size: int | None = None,
    pool_size: int | None = None,
    num_groups: int | None = None,
) -> Advice:
    """Return advice on a pool from a run's groups, or from a file of stored rollouts.

    Args:
        path: A run's folder, a folder of group files, or a file of rollouts.
        arm: Which sampler's groups, for a run with several.
        group_size: Rollouts of a training group; None: the median of those stored.
        pool_size: Prompts of the pool; None: the run's, or those in the file.
        num_groups: Groups that the planned training draws; None: the recipe's, or one pass.

    Raises:
        ConfigError: A run has several arms and none was named, or a number is out of range.
        DataError: The input cannot be read, or holds no verdicts.
    """
    for name, value, least in (
        ("--rollouts-per-prompt", group_size, 2),
        ("--pool-size", pool_size, 1),
        ("--groups", num_groups, 1),
    ):
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    files = find_input(path, arm=arm)
    stored = read_groups(files, pooled=False, with_tokens=False)
    if not (stored.has_verdicts or are_verdicts(stored)):
        raise DataError(
            f"{path}: holds graded rewards and no verdicts, so no pass rates; add a column"
            " `verdict` (1, 0 or null)"
        )
    seen = [
        np.array(group.verdicts if stored.has_verdicts else group.rewards)
        for group in stored.groups.values()
    ]
    num = np.array([(~np.isnan(own)).sum() for own in seen], dtype=np.float64)
    correct = np.array([np.nansum(own) for own in seen], dtype=np.float64)
    own = _of_run(path, files) if path.is_dir() else {}
    size = pool_size or own.get("pool_size") or len(seen)
    planned = num_groups or own.get("num_groups") or size
    return advise(
        correct,
        num,
        group_size=group_size or max(2, int(np.median(num))),
        passes=planned / size,
        coherence=own.get("coherence", math.nan),
        saved=own.get("saved", math.nan),
    )


def _of_run(path: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Return what a run's folder tells beside verdicts: sizes, coherence, worth of features."""
    rows = read_run_groups(
        files[0].parent, ["batch", "purpose", "prompt_index", "rewards", "verdicts", "confidence"]
    ).to_pylist()
    groups = [_outcome(row) for row in rows]
    mixed = [coherence(group.verdicts, group.confidence) for group in groups]
    known = [value for value in mixed if not math.isnan(value)]
    found: dict[str, Any] = {"coherence": float(np.mean(known)) if known else math.nan}
    run = RunDir(path)
    pool = run.prompts / "train.parquet"
    if run.settings.exists() and pool.exists():
        grpo = read_json(run.settings)["recipe"].get("grpo") or {}
        prompts = read_prompts(pool)
        found["pool_size"] = len(prompts)
        if grpo:
            batches = grpo["steps"] // grpo["updates_per_batch"]
            found["num_groups"] = batches * grpo["prompts_per_batch"]
        found["saved"] = _saved_by_features(groups, len(prompts), prompt_features(prompts))
    return found


def _saved_by_features(groups: Sequence[GroupOutcome], num_prompts: int, features: Any) -> float:
    """Return the share of a constant's log loss that a belief with features saves.

    Each batch is predicted before it is learnt from, on prompts not seen before; the first quarter
    of the groups is only learnt from.
    """
    sampler = make_sampler("weighted_passes", num_prompts=num_prompts, seed=0, features=features)
    met: set[int] = set()
    losses: list[tuple[float, float, int]] = []
    num_learnt = 0
    for batch in sorted({group.batch or 0 for group in groups}):
        new = [g for g in groups if (g.batch or 0) == batch and g.index not in met]
        if not new:
            continue
        met |= {group.index for group in new}
        sampler.observe(new)
        metrics = sampler.metrics()
        num_learnt += len(new)
        if 4 * num_learnt > len(groups):
            pair = metrics["sampler/log_loss"], metrics["sampler/log_loss_constant"]
            losses.append((*pair, len(new)))
    if not losses:
        return math.nan
    ours, constant, num = np.array(losses).T
    return float(1.0 - (ours @ num) / (constant @ num))


def _outcome(row: dict[str, Any]) -> GroupOutcome:
    confidence = np.array(row["confidence"], dtype=np.float64)
    return GroupOutcome(
        index=row["prompt_index"],
        rewards=np.array(row["rewards"], dtype=np.float64),
        verdicts=np.array(row["verdicts"], dtype=np.float64),
        confidence=None if np.isnan(confidence).any() else confidence,
        purpose=row["purpose"],
        batch=row["batch"],
    )
