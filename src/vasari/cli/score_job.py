"""Stored rollouts -> pass rate, outcome variance, diversity and promotion score of every prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from vasari.cli.score_input import StoredGroup, StoredRollouts, find_input, read_groups
from vasari.cli.score_table import Row, check_output, write_scores
from vasari.core.errors import ConfigError
from vasari.core.progress import Tell, silent, stage
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """How prompts are scored."""

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
    """"last" scores a prompt's group of the last batch or step; "pool" all its rollouts
    together."""

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


def run_score(
    path: Path, settings: ScoreSettings, *, out: Path | None, arm: str | None, overwrite: bool
) -> Path:
    """Score the rollouts of a file or a run, print a summary, and write the scores; returns where
    they lie.

    Raises:
        ConfigError: A setting is out of range, the output exists, or the arm is not there.
        DataError: The input cannot be read, or holds no rollouts.
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
    print_summary(rows, stored, target)
    return target


def default_output(path: Path, files: Sequence[Path]) -> Path:
    """Beside the input: `rollouts.jsonl` gives `rollouts.scores.jsonl`, a folder of groups
    `groups.scores.parquet`.
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
    """One row a prompt, in the order in which prompts were first met.

    Without any verdict, rewards of 0 and 1 alone are taken for verdicts. Graded rewards have no
    pass rate, and their `ovs` is the variance of the rewards, never p(1 - p).

    Raises:
        ConfigError: "range" and graded rewards, whose variance is not bounded by 1/4.
    """
    graded = not stored.has_verdicts and not _are_verdicts(stored)
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


def _are_verdicts(stored: StoredRollouts) -> bool:
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
    known = (
        0.0 if settings.beta == 0 else tds
    )  # without its weight an unknown diversity does not matter
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
    """TDS; nan below two rollouts, and where their texts are not known or not wanted."""
    tokens = [ids for ids in group.tokens if ids is not None]
    if settings.beta == 0 or len(tokens) < 2 or len(tokens) < len(group.tokens):
        return math.nan
    return trajectory_diversity(
        tokens, metric=cast("DiversityMetric", settings.metric), n=settings.n
    )


def print_summary(rows: Sequence[Row], stored: StoredRollouts, path: Path) -> None:
    """Print counts, the spread of every score, and where the scores lie."""
    console = Console(highlight=False)
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.float64)
        for name in rows[0]
        if name not in _LABELS
    }
    num_rollouts, num_unverifiable = (
        int(columns[name].sum()) for name in ("num_rollouts", "num_unverifiable")
    )
    console.print(
        f"{len(rows):,} prompts, {num_rollouts:,} rollouts, {num_unverifiable:,} of them"
        " unverifiable"
    )
    if stored.num_earlier:
        console.print(
            f"{stored.num_earlier:,} rollouts of earlier batches left out; --groups pool counts"
            " them"
        )
    table = Table()
    for heading in ("", "prompts", "mean", "least", "median", "most"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, title in _TITLES.items():
        known = columns[name][~np.isnan(columns[name])]
        if known.size:
            numbers = (known.mean(), known.min(), np.median(known), known.max())
            table.add_row(title, f"{known.size:,}", *(f"{number:.3f}" for number in numbers))
    console.print(table)
    rates = columns["pass_rate"][~np.isnan(columns["pass_rate"])]
    if rates.size:
        never, always = int((rates == 0).sum()), int((rates == 1).sum())
        console.print(
            f"never solved: {never:,}; always: {always:,}; mixed: {rates.size - never - always:,}"
        )
    else:
        console.print("graded rewards have no pass rate; ovs is their variance")
    if stored.unit:
        console.print(f"diversity is of {stored.unit}")
    console.print(f"scores: {path}", soft_wrap=True)


_LABELS = ("prompt_id", "set", "decoding")
_TITLES = {
    "pass_rate": "pass rate",
    "mean_reward": "mean reward",
    "ovs": "outcome variance (OVS)",
    "tds": "trajectory diversity (TDS)",
    "vps": "promotion score (VPS)",
}
