"""Scores on the levels that a run's cold start was taught, and on those that it was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vasari.evaluate.statistics import paired_difference, pass_at_k, share_mean
from vasari.report.inputs import Run, dig, read_rollouts, shown, solved_share

PARTS = ("taught", "untaught")
MEASURES = ("accuracy", "greedy", "pass_at")
"""Sampled accuracy, greedy accuracy, and pass@k with k the rollouts of a prompt."""

Scores = Mapping[str, Mapping[str, float]]
"""By measure, the score of each test prompt by the prompt's id."""


def taught_levels(run: Run) -> frozenset[str]:
    """Return the levels that the cold start is taught; none where it is taught all of them."""
    named = dig(run.recipe, "prompts", "tasks", "cold_start_levels")
    return frozenset(map(str, named)) if isinstance(named, list | tuple) else frozenset()


def taught_and_untaught(run: Run, final: str | None) -> dict[str, dict[str, Any] | None]:
    """Return the scores on the test prompts of `taught` levels, and of `untaught` ones.

    None for both where the cold start was taught all levels. Each has its `levels`, `k` of its
    pass@k, every measure by model, and in `difference` the paired differences of the measures.

    Args:
        run: The run.
        final: Name of the arm (training run) whose model counts as final.
    """
    taught = taught_levels(run)
    return {
        part: _part(run, final, taught, is_taught=part == "taught") if taught else None
        for part in PARTS
    }


def taught_blocks(found: Mapping[str, Any], models: Sequence[str]) -> list[dict[str, Any]]:
    """Return tables of the page, one column per model, for untaught levels and for taught ones.

    Args:
        found: The run's summary.
        models: Names of the columns.
    """
    blocks: list[dict[str, Any]] = []
    for part in reversed(PARTS):
        if not found[part]:
            continue
        scores = found[part]
        labels = {
            "accuracy": "Accuracy, sampled",
            "greedy": "Accuracy, greedy",
            "pass_at": f"pass@{scores['k']}",
        }
        rows: list[dict[str, Any]] = []
        for measure, label in labels.items():
            by_name = scores[measure]["by_arm"] | scores[measure]
            cells = [by_name.get(model) for model in models]
            best = max((cell["mean"] for cell in cells if cell), default=None)
            rows.append({"label": label, "cells": cells, "best": best})
        levels = shown(", ".join(scores["levels"]), 200)
        title = f"Levels that the cold start was {'not ' * (part == 'untaught')}taught: {levels}"
        blocks.append({"title": title, "rows": [row for row in rows if any(row["cells"])]})
    return [block for block in blocks if block["rows"]]


def _part(
    run: Run, final: str | None, taught: frozenset[str], *, is_taught: bool
) -> dict[str, Any]:
    """Return the scores of one part of the test prompts."""
    rows_of: dict[str, dict[str, dict[str, Any]]] = {}
    levels: set[str] = set()
    num_rollouts: list[int] = []
    for model in ("base", "cold_start", *run.arm_names):
        kept = {
            decoding: {
                key: row
                for key, row in read_rollouts(run, model, decoding).items()
                if (row["difficulty"] in taught) == is_taught and row["verdicts"]
            }
            for decoding in ("sampled", "greedy")
        }
        rows_of[model] = kept
        levels |= {row["difficulty"] for rows in kept.values() for row in rows.values()}
        num_rollouts += [len(row["verdicts"]) for row in kept["sampled"].values()]
    k = min(num_rollouts, default=None)  # one k for all models, or their pass@k would not compare
    scores = {model: _scores(**kept, k=k) for model, kept in rows_of.items()}
    found: dict[str, Any] = {"levels": sorted(levels), "k": k}
    for measure in MEASURES:
        means = {model: _mean(one[measure]) for model, one in scores.items()}
        found[measure] = {
            "base": means["base"],
            "cold_start": means["cold_start"],
            "final": means.get(final or ""),
            "by_arm": {name: means[name] for name in run.arm_names},
        }
    found["difference"] = {
        f"final_minus_{other}": {
            measure: _paired(scores.get(final or ""), scores.get(other), measure)
            for measure in MEASURES
        }
        for other in ("cold_start", "uniform")
        if other != final
    }
    return found


def _scores(sampled: Mapping[str, Any], greedy: Mapping[str, Any], k: int | None) -> Scores:
    return {
        "accuracy": {key: solved_share(row["verdicts"]) for key, row in sampled.items()},
        "greedy": {key: solved_share(row["verdicts"]) for key, row in greedy.items()},
        "pass_at": {
            key: float(pass_at_k([row["verdicts"]], k or 1)[0]) for key, row in sampled.items()
        },
    }


def _mean(values: Mapping[str, float]) -> dict[str, Any] | None:
    return asdict(share_mean(list(values.values()))) if values else None


def _paired(after: Scores | None, before: Scores | None, measure: str) -> dict[str, Any] | None:
    """Return the paired difference of a measure over the prompts that both models answered."""
    if after is None or before is None:
        return None
    shared = [key for key in after[measure] if key in before[measure]]
    if not shared:
        return None
    first, second = ([one[measure][key] for key in shared] for one in (after, before))
    return asdict(paired_difference(first, second))
