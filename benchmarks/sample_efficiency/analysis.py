"""Results of the study by pool and sampler, from finished training runs only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sample_efficiency.curves import Axis, Comparison, Curve, Floats, compare, mean_curve
from vasari.data.tasks.difficulty import shape_distance

NUM_RESAMPLES = 2000
OURS = "progress"

AXES: tuple[Axis, ...] = ("rollouts", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolResult:
    """Results on one prompt pool: curves of every arm (sampler setup) and comparisons of arms."""

    pool: str
    marks: Mapping[Axis, Floats]
    """By axis: [marks] of the budget; the budget of tokens is what every cell has spent in the
    end."""
    curves: Mapping[str, Mapping[int, Curve]]
    """Arm -> seed -> curve, of the cells that are done."""
    means: Mapping[Axis, Mapping[str, tuple[Floats, Floats, Floats]]]
    """Mean curve of each arm over its seeds, and the ends of its interval."""
    comparisons: Mapping[Axis, Mapping[str, Comparison]]
    """Each arm beside uniform, on the seeds that both have."""
    ours: Mapping[str, Comparison]
    """`progress` beside each other arm, as the others stand beside uniform, over rollouts."""


def analyse(
    pool: str, curves: Sequence[Curve], *, budget: int, num_marks: int, num: int = NUM_RESAMPLES
) -> PoolResult:
    """Return the results on one pool from the curves of its training runs (at least one)."""
    by_arm: dict[str, dict[int, Curve]] = {}
    for curve in sorted(curves, key=lambda curve: curve.seed):
        by_arm.setdefault(curve.arm, {})[curve.seed] = curve
    steps = np.arange(num_marks + 1) / num_marks
    tokens = min(float(curve.spent["tokens"][-1]) for curve in curves)
    marks: dict[Axis, Floats] = {"rollouts": budget * steps, "tokens": tokens * steps}
    means: dict[Axis, dict[str, tuple[Floats, Floats, Floats]]] = {}
    comparisons: dict[Axis, dict[str, Comparison]] = {}
    ours: dict[str, Comparison] = {}
    for axis in AXES:
        found = {
            arm: {seed: c.at(axis, marks[axis]) for seed, c in own.items()}
            for arm, own in by_arm.items()
        }
        means[axis] = {arm: mean_curve(list(own.values()), num=num) for arm, own in found.items()}
        beside = {
            arm: _paired(own, found.get("uniform", {}), marks[axis], num)
            for arm, own in found.items()
        }
        comparisons[axis] = {
            arm: comparison for arm, comparison in beside.items() if comparison is not None
        }
        if axis == "rollouts":
            beside = {
                arm: _paired(found.get(OURS, {}), own, marks[axis], num)
                for arm, own in found.items()
                if arm != OURS
            }
            ours = {arm: comparison for arm, comparison in beside.items() if comparison is not None}
    return PoolResult(
        pool=pool, marks=marks, curves=by_arm, means=means, comparisons=comparisons, ours=ours
    )


def _paired(
    arm: Mapping[int, Floats], base: Mapping[int, Floats], marks: Floats, num: int
) -> Comparison | None:
    """Compare two arms on the seeds that both have; None if they share no seed."""
    seeds = sorted(set(arm) & set(base))
    return (
        compare([arm[s] for s in seeds], [base[s] for s in seeds], seeds, marks, num=num)
        if seeds
        else None
    )


def share_of_saving(result: PoolResult, arm: str) -> float | None:
    """Return an arm's saving of rollouts as a share of the oracle's; None if not comparable."""
    found = result.comparisons["rollouts"]
    if arm not in found or "oracle" not in found or found[arm].seeds != found["oracle"].seeds:
        return None
    if not (found[arm].reached and found["oracle"].reached):
        return None
    most = 1.0 - found["oracle"].ratio.value
    return (1.0 - found[arm].ratio.value) / most if most > 0.01 else None


def trained_on(curves: Mapping[int, Curve], kind: str, *, part: slice) -> float | None:
    """Return the mean share of training groups of one kind over `part` of the batches."""
    values = [np.mean(own) for c in curves.values() if (own := c.cell["trained_on"][kind][part])]
    return float(np.mean(values)) if values else None


def trained_on_over_time(curves: Mapping[int, Curve], kind: str, *, parts: int = 10) -> list[float]:
    """Return the mean share of training groups of one kind in each of `parts` spans of batches."""
    cut = [
        [float(p.mean()) for p in np.array_split(c.cell["trained_on"][kind], parts) if p.size]
        for c in curves.values()
    ]
    return [float(v) for v in np.mean([row[: min(map(len, cut))] for row in cut], axis=0)]


def spent_on(curves: Mapping[int, Curve], purpose: str) -> float:
    """Return the mean share of all rollouts that were spent on one purpose, over seeds."""
    last = [c.cell["batches"][-1]["rollouts"] for c in curves.values()]
    return float(np.mean([row[purpose] / sum(row.values()) for row in last]))


def minutes(curves: Mapping[int, Curve]) -> float:
    """Return the median wall-clock minutes of a training run, interruptions included."""
    return float(np.median([c.cell["seconds"] for c in curves.values()])) / 60


def log_loss(curves: Mapping[int, Curve]) -> float | None:
    """Return the sampler's mean log loss in predicting verdicts in the second half of batches."""
    found = []
    for curve in curves.values():
        rows = curve.cell["batches"]
        found += [
            row["sampler"]["sampler/log_loss"]
            for row in rows[len(rows) // 2 :]
            if "sampler/log_loss" in row["sampler"]
        ]
    return float(np.mean(found)) if found else None


def pool_shape(result: PoolResult) -> dict[str, float] | None:
    """Summarise the cold start's pass rates on sound prompts, with their distance to DynaMath's."""
    rates = [
        c.cell["first_pass_rates"]
        for own in result.curves.values()
        for c in own.values()
        if "first_pass_rates" in c.cell
    ]
    if not rates:
        return None
    pooled = np.concatenate([np.asarray(r) for r in rates])
    return {
        "never": float((pooled == 0).mean()),
        "always": float((pooled == 1).mean()),
        "mean": float(pooled.mean()),
        "distance_to_dynamath": shape_distance(pooled),
    }


def as_json(result: PoolResult) -> dict[str, Any]:
    """Return all numbers of a pool for JSON, with None in place of nan."""
    arms: dict[str, Any] = {}
    for arm, own in result.curves.items():
        learning_rates = sorted({c.cell["learning_rate"] for c in own.values()})
        arms[arm] = {
            "seeds": sorted(own),
            "learning_rates": learning_rates,
            "minutes": minutes(own),
            "curves": {axis: _mean_json(result.means[axis][arm]) for axis in AXES},
            "beside_uniform": {axis: _compared(result.comparisons[axis].get(arm)) for axis in AXES},
            "progress_beside_it": _compared(result.ours.get(arm)),
            "share_of_the_oracles_saving": share_of_saving(result, arm),
            "coin_flips": trained_on(own, "coin_flip", part=slice(None)),
            "wrong_labels": trained_on(own, "wrong_label", part=slice(None)),
            "zero_variance": trained_on(own, "zero_variance", part=slice(None)),
            "over_time": {
                kind: trained_on_over_time(own, kind)
                for kind in ("coin_flip", "wrong_label", "zero_variance")
            },
            "refresh_share": spent_on(own, "refresh"),
            "discarded_share": spent_on(own, "discarded"),
            "log_loss": log_loss(own),
        }
    marks = {axis: values.tolist() for axis, values in result.marks.items()}
    return {"marks": marks, "arms": arms, "pass_rates_of_the_cold_start": pool_shape(result)}


def _mean_json(curve: tuple[Floats, Floats, Floats]) -> dict[str, list[float | None]]:
    numbers = (("mean", curve[0]), ("low", curve[1]), ("high", curve[2]))
    return {
        name: [float(v) if np.isfinite(v) else None for v in values] for name, values in numbers
    }


def _compared(found: Comparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    estimates = ("final", "final_difference", "mean_difference", "spent_to_target", "ratio")
    return {name: getattr(found, name).as_json() for name in estimates} | {
        "paired_seeds": list(found.seeds),
        "reached": found.reached,
        "reached_share": found.reached_share,
        "restricted_mean": found.restricted_mean,
    }
