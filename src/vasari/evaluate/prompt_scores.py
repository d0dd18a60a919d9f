"""Score stored rollouts: each prompt's pass rate, outcome variance, diversity, promotion score."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import numpy as np

from vasari.core.errors import ConfigError, MissingExtraError
from vasari.core.files import writing
from vasari.core.progress import Tell, silent, stage
from vasari.evaluate.stored_rollouts import StoredGroup, StoredRollouts, find_input, read_groups
from vasari.score.diversity import DIVERSITY_METRICS, DiversityMetric, trajectory_diversity
from vasari.score.promotion import Normalise, check_weights, promotion_score
from vasari.score.variance import (
    outcome_variance,
    pass_rate,
    reward_variance,
    unbiased_outcome_variance,
)

VarianceEstimate = Literal["plugin", "unbiased"]
Which = Literal["last", "pool"]

ENDINGS = (".jsonl", ".csv", ".parquet")

Row = Mapping[str, str | int | float]
"""The scores of one prompt; nan where a number is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """Settings of prompt scores: diversity metric, weights of variance and diversity, estimator."""

    metric: str = "self_bleu"
    """Diversity: one of `DIVERSITY_METRICS`."""
    n: int = 3
    """Longest n-gram of `self_bleu`, and the n-gram of `distinct_n`."""
    alpha: float = 0.8
    """Weight of outcome variance."""
    beta: float = 0.2
    """Weight of diversity; 0 leaves it uncomputed."""
    normalise: str = "none"
    """"range" multiplies outcome variance by 4."""
    ovs: str = "plugin"
    """"plugin" is p(1 - p), as in the paper; "unbiased" is n / (n - 1) times that."""
    groups: str = "last"
    """"last" scores a prompt's group of the last batch or step; "pool" all its rollouts."""

    def __post_init__(self) -> None:
        check_weights(self.alpha, self.beta, self.normalise)
        for name, value, known in (
            ("metric", self.metric, DIVERSITY_METRICS),
            ("ovs", self.ovs, get_args(VarianceEstimate)),
            ("groups", self.groups, get_args(Which)),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if self.n < 1:
            raise ConfigError(f"n-grams need n >= 1, got {self.n}")


@dataclass(frozen=True, slots=True)
class PromptScores:
    """Scores of the prompts in stored rollouts, and the path of the file with these scores."""

    path: Path
    rows: list[Row]
    """One row per prompt, in the order in which prompts first appear."""
    unit: str
    """What diversity was computed on: "token ids", "words", or "" for nothing."""
    num_earlier: int
    """Rollouts of earlier batches that were left out."""


def score_rollouts(
    path: Path, settings: ScoreSettings, *, out: Path | None, arm: str | None, overwrite: bool
) -> PromptScores:
    """Score prompts by their stored rollouts (a file or training run); write one row per prompt.

    Args:
        path: A file of rollouts, a folder of group files, or a run's folder.
        settings: How prompts are scored.
        out: File of the scores, .jsonl, .csv or .parquet; None: beside the input.
        arm: Which sampler's groups, for a run with several.
        overwrite: Replace the file of the scores if it exists.

    Raises:
        ConfigError: A setting is out of range, the output exists, or the run has no such arm.
        DataError: The input cannot be read, or holds no rollouts.
        StorageError: The disk refused.
    """
    files = find_input(path, arm=arm)
    target = out or default_output(path, files)
    check_output(target, overwrite=overwrite)
    if target.resolve() in {file.resolve() for file in files}:
        raise ConfigError(f"{target}: is the input; choose another --out")
    with stage("read") as tell:
        stored = read_groups(
            files, pooled=settings.groups == "pool", with_tokens=settings.beta > 0, tell=tell
        )
    with stage("score") as tell:
        rows = score_groups(stored, settings, tell=tell)
    write_scores(target, rows)
    return PromptScores(target, rows, stored.unit, stored.num_earlier)


def default_output(path: Path, files: Sequence[Path]) -> Path:
    """Return the default score file: next to `rollouts.jsonl` it is `rollouts.scores.jsonl`.

    A folder `groups` gives `groups.scores.parquet`.
    """
    if path.is_dir():
        folder = files[0].parent
        return folder.with_name(f"{folder.name}.scores.parquet")
    name = path.name.removesuffix(".gz")
    stem, _, ending = name.rpartition(".")
    return path.with_name(f"{stem}.scores.{'parquet' if ending == 'parquet' else 'jsonl'}")


def score_groups(
    stored: StoredRollouts, settings: ScoreSettings, *, tell: Tell = silent
) -> list[Row]:
    """Return one row per prompt: pass rate, outcome variance, diversity, score; in input order.

    Without any verdict, rewards are taken for verdicts if all are 0 or 1. Graded rewards have no
    pass rate, and their `ovs` is the variance of the rewards, never p(1 - p).

    Raises:
        ConfigError: "range" and graded rewards, whose variance is not bounded by 1/4.
    """
    graded = not stored.has_verdicts and not are_verdicts(stored)
    if graded and settings.normalise == "range":
        raise ConfigError(
            "normalise=range needs verdicts: the variance of graded rewards is not bounded by 1/4;"
            " use none"
        )
    labelled = any(key[0] or key[1] for key in stored.groups)
    rows: list[Row] = []
    for (set_name, decoding, prompt), group in stored.groups.items():
        label: dict[str, str | int | float] = {"prompt_id": prompt}
        if labelled:
            label |= {"set": set_name, "decoding": decoding}
        rows.append(label | _scores(group, settings, verdicts=stored.has_verdicts, graded=graded))
        tell(len(rows), len(stored.groups))
    return rows


def are_verdicts(stored: StoredRollouts) -> bool:
    """Whether all rewards are 0, 1 or nan, and so can stand for verdicts."""
    return all(
        value in (0.0, 1.0) or math.isnan(value)
        for group in stored.groups.values()
        for value in group.rewards
    )


def _scores(
    group: StoredGroup, settings: ScoreSettings, *, verdicts: bool, graded: bool
) -> dict[str, str | int | float]:
    seen = np.array(group.verdicts if verdicts else group.rewards)
    rewards = np.array(group.rewards)
    rewards = rewards[~np.isnan(rewards)]
    unbiased = settings.ovs == "unbiased"
    if graded:
        ovs = reward_variance(seen)
        if unbiased:
            ovs = ovs * rewards.size / (rewards.size - 1) if rewards.size > 1 else math.nan
    else:
        ovs = unbiased_outcome_variance(seen) if unbiased else outcome_variance(seen)
    tds = _diversity(group, settings)
    # With weight 0 an unknown diversity must not make the score unknown.
    known = 0.0 if settings.beta == 0 else tds
    return {
        "num_rollouts": len(seen),
        "num_unverifiable": int(np.isnan(seen).sum()),
        "pass_rate": math.nan if graded else pass_rate(seen),
        "mean_reward": float(rewards.mean()) if rewards.size else math.nan,
        "ovs": ovs,
        "tds": tds,
        "vps": float(
            promotion_score(
                ovs, known, settings.alpha, settings.beta, cast("Normalise", settings.normalise)
            )
        ),
    }


def _diversity(group: StoredGroup, settings: ScoreSettings) -> float:
    """Return the trajectory diversity; nan for under two rollouts, missing texts, or weight 0."""
    tokens = [ids for ids in group.tokens if ids is not None]
    if settings.beta == 0 or len(tokens) < 2 or len(tokens) < len(group.tokens):
        return math.nan
    return trajectory_diversity(
        tokens, metric=cast("DiversityMetric", settings.metric), n=settings.n
    )


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise if the score file at `path` cannot be written, to fail before anything is computed.

    Raises:
        ConfigError: It has another suffix, or exists and `overwrite` is False.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(
            f"{path}: scores are written as {', '.join(ENDINGS)}; choose another --out"
        )
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(f"{path}: exists; choose another --out, or replace it with --overwrite")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401, PLC0415
        except ImportError as error:
            raise MissingExtraError(
                f"{path}: writing Parquet needs pyarrow: pip install 'vasari[jobs]'"
            ) from error


def write_scores(path: Path, rows: Sequence[Row]) -> None:
    """Write prompt scores to a file; nan becomes null in JSON lines and Parquet, empty in CSV.

    Raises:
        StorageError: The disk refused; an older file at `path` is unharmed.
    """
    plain = [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    write = {".jsonl": _write_json_lines, ".csv": _write_csv, ".parquet": _write_parquet}
    with writing(path) as file:
        write[path.suffix](file, plain)


def _write_json_lines(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")


def _write_csv(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    text.detach()  # flushes, and leaves the file open


def _write_parquet(file: IO[bytes], rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {"prompt_id": pa.string(), "set": pa.string(), "decoding": pa.string()}
    types |= dict.fromkeys(("num_rollouts", "num_unverifiable"), pa.int64())
    schema = pa.schema(
        [(name, types.get(name, pa.float64())) for name in rows[0]], metadata={"vasari_schema": "1"}
    )
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, compression="zstd")
