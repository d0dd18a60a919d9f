"""Read what `vasari advise` looks at: a run's groups and prompts, or a file of rollouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

_BATCH = 64
"""First groups that are predicted together, from those before them."""
FIRST_PROMPTS = 192
"""Prompts whose first groups tell pass rates; the batch that has the last of them counts whole."""


def advise_on(
    path: Path,
    *,
    arm: str | None = None,
    group_size: int | None = None,
    pool_size: int | None = None,
    num_groups: int | None = None,
) -> Advice:
    """Return advice on a pool from the first groups of a run, or from a file of stored rollouts.

    Args:
        path: A run's folder, a folder of group files, or a file of rollouts.
        arm: Which sampler's groups, for a run with several.
        group_size: Rollouts of a training group; None: those of the run's training groups, or the
            median of those stored.
        pool_size: Prompts of the pool; None: the run's, or those in the file.
        num_groups: Groups that the planned training draws; None: the recipe's, or one pass.

    Raises:
        ConfigError: A run has several arms and none was named, or a number is out of range.
        DataError: The input cannot be read, holds no verdicts, or rollouts of several sets.
    """
    for name, value, least in (
        ("--rollouts-per-prompt", group_size, 2),
        ("--pool-size", pool_size, 1),
        ("--groups", num_groups, 1),
    ):
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    files = find_input(path, arm=arm)
    own: dict[str, Any] = {}
    if path.is_dir():
        own = _of_run(files[0].parent)
        seen: list[NDArray[np.float64]] = own["verdicts"]
    else:
        seen = _of_file(path, files)
    num = np.array([(~np.isnan(one)).sum() for one in seen], dtype=np.float64)
    correct = np.array([np.nansum(one) for one in seen], dtype=np.float64)
    size = pool_size or own.get("pool_size") or len(seen)
    planned = num_groups or own.get("num_groups") or size
    return advise(
        correct,
        num,
        group_size=group_size or own.get("group_size") or max(2, int(np.median(num))),
        passes=planned / size,
        coherence=own.get("coherence", math.nan),
        saved=own.get("saved", math.nan),
    )


def _of_file(path: Path, files: list[Path]) -> list[NDArray[np.float64]]:
    """Return the verdicts of each prompt in a file of rollouts, those of its last batch or step."""
    stored = read_groups(files, pooled=False, with_tokens=False)
    if not (stored.has_verdicts or are_verdicts(stored)):
        raise DataError(
            f"{path}: holds graded rewards and no verdicts, so no pass rates; add a column"
            " `verdict` (1, 0 or null)"
        )
    kinds = sorted({key[:2] for key in stored.groups})
    if len(kinds) > 1:
        shown = ", ".join(" ".join(kind) for kind in kinds)
        raise DataError(
            f"{path}: holds rollouts of several sets or decodings ({shown}); give a file of one"
        )
    return [
        np.array(group.verdicts if stored.has_verdicts else group.rewards)
        for group in stored.groups.values()
    ]


def _of_run(folder: Path) -> dict[str, Any]:
    """Return what a training's groups and its run tell: first verdicts, sizes, coherence, features.

    A prompt's first group counts whatever it was for: refused and screened groups are of the pool
    as much as those that trained. Pass rates are those of the first batches alone: the policy
    moves, and groups of a whole training would be of as many policies.
    """
    rows = read_run_groups(
        folder, ["batch", "purpose", "prompt_index", "rewards", "verdicts", "confidence"]
    ).to_pylist()
    groups = [_outcome(row) for row in rows]
    first: dict[int, GroupOutcome] = {}
    batches: dict[int, int] = {}
    for row, group in zip(rows, groups, strict=True):
        first.setdefault(group.index, group)
        batches.setdefault(group.index, row["batch"])
    last = max(sorted(batches.values())[:FIRST_PROMPTS], default=-1)
    found: dict[str, Any] = {
        "verdicts": [group.verdicts for at, group in first.items() if batches[at] <= last]
    }
    trained = [group.num_rollouts for group in groups if group.purpose == "train"]
    if trained:
        found["group_size"] = max(2, int(np.median(trained)))
    known = [coherence(group.verdicts, group.confidence) for group in groups]
    known = [value for value in known if not math.isnan(value)]
    found["coherence"] = float(np.mean(known)) if known else math.nan
    run = next((RunDir(at) for at in folder.parents if RunDir(at).settings.exists()), None)
    if run is not None and (pool := run.prompts / "train.parquet").exists():
        grpo = read_json(run.settings)["recipe"].get("grpo") or {}
        prompts = read_prompts(pool)
        found["pool_size"] = len(prompts)
        if grpo:
            batches = grpo["steps"] // grpo["updates_per_batch"]
            found["num_groups"] = batches * grpo["prompts_per_batch"]
            found["group_size"] = grpo.get("rollouts_per_prompt", found.get("group_size"))
        features = prompt_features(prompts)
        found["saved"] = _saved_by_features(list(first.values()), len(prompts), features)
    return found


def _saved_by_features(first: Sequence[GroupOutcome], num_prompts: int, features: Any) -> float:
    """Return the share of log loss that features save a belief, of that of one without features.

    Each part of the prompts' first groups is predicted before it is learnt from; the first quarter
    is only learnt from. Both beliefs follow the policy, which gets better in between.
    """
    ours, without = (_log_loss(first, num_prompts, given) for given in (features, None))
    return 1.0 - ours / without


def _log_loss(first: Sequence[GroupOutcome], num_prompts: int, features: Any) -> float:
    """Return the mean log loss of a belief on the prompts' first groups; nan without any."""
    sampler = make_sampler("weighted_passes", num_prompts=num_prompts, seed=0, features=features)
    losses: list[tuple[float, int]] = []
    for start in range(0, len(first), _BATCH):
        part = first[start : start + _BATCH]
        sampler.due(start // _BATCH)
        sampler.observe(part)
        if 4 * start >= len(first):
            losses.append((sampler.metrics()["sampler/log_loss"], len(part)))
    loss, num = np.array(losses or [(math.nan, 1)]).T
    return float(loss @ num / num.sum())


def _outcome(row: dict[str, Any]) -> GroupOutcome:
    confidence = np.array(row["confidence"], dtype=np.float64)
    return GroupOutcome(
        index=row["prompt_index"],
        rewards=np.array(row["rewards"], dtype=np.float64),
        verdicts=np.array(row["verdicts"], dtype=np.float64),
        confidence=None if np.isnan(confidence).any() else confidence,
        purpose=row["purpose"],
    )
