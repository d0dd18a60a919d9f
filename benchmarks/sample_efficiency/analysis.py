"""Results of the study from finished training runs: confirmatory tests, the null, and the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_efficiency.curves import Curve, Floats, Measure, Run
from sample_efficiency.design import BASE, NULL, NULL_POOL, OURS, TESTS, Hypothesis
from sample_efficiency.inference import (
    ALPHA,
    Mean,
    false_claims,
    hierarchical_interval,
    holm,
    mean_of,
    p_above,
    sign_flip_p,
)
from sample_efficiency.pools import POOLS
from sample_efficiency.survival import Times, log_rank, restricted_mean, times_to_target

Curves = Mapping[tuple[str, str], Mapping[Run, Curve]]
"""Finished training runs by pool and arm, then by run."""

TARGET_SHARE = 0.75
"""Of uniform's mean gain of sampled accuracy: the target whose rollouts are counted."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Differences of accuracy over the budget between two arms, on the runs that both have."""

    runs: tuple[Run, ...]
    by_prompt: tuple[Floats, ...]
    """For each run the [prompts] differences; runs of one cold start share their prompts."""

    @property
    def differences(self) -> Floats:
        """Return the difference of each run: [runs]."""
        return np.array([row.mean() for row in self.by_prompt])

    def interval(self) -> tuple[float, float]:
        """Return the hierarchical bootstrap interval; nan ends where there is no run."""
        if not self.runs:
            return math.nan, math.nan
        return hierarchical_interval(self.by_prompt, [run.cold_start for run in self.runs])


def pair(
    curves: Curves, pool: str, arm: str, base: str, *, measure: Measure, marks: Floats
) -> Pairs:
    """Pair two arms of a pool by cold start and seed; what only one has is left out."""
    ours, theirs = curves.get((pool, arm), {}), curves.get((pool, base), {})
    runs = tuple(sorted(ours.keys() & theirs.keys()))
    return Pairs(
        runs,
        tuple(
            ours[run].over_budget(marks, measure) - theirs[run].over_budget(marks, measure)
            for run in runs
        ),
    )


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one test, or of the same analysis of an arm that is known to gain nothing."""

    test: Hypothesis
    arm: str
    mean: Mean
    bootstrap: tuple[float, float]
    sign_flip_p: float
    """Two-sided and exact, of a difference of 0."""
    p: float
    adjusted: float
    """By Holm, over all confirmatory tests; for the null arm over its own two tests a kind."""
    complete: bool
    """Whether all planned runs are paired; without them nothing is claimed."""

    @property
    def claimed(self) -> bool:
        """Whether the null hypothesis is rejected."""
        return self.complete and self.adjusted <= ALPHA


def _results(
    curves: Curves, tests: Sequence[Hypothesis], arm: str, *, runs: Sequence[Run], marks: Floats
) -> list[Result]:
    pairs = {
        test: pair(curves, test.pool, arm, BASE, measure=test.measure, marks=marks)
        for test in tests
    }
    p_values = {test.name: p_above(pairs[test].differences, test.bound) for test in tests}
    adjusted = holm(p_values)
    return [
        Result(
            test=test,
            arm=arm,
            mean=mean_of(own.differences),
            bootstrap=own.interval(),
            sign_flip_p=sign_flip_p(own.differences) if own.runs else math.nan,
            p=p_values[test.name],
            adjusted=adjusted[test.name],
            complete=set(own.runs) == set(runs),
        )
        for test, own in pairs.items()
    ]


def confirmatory(curves: Curves, *, runs: Sequence[Run], marks: Floats) -> list[Result]:
    """Return the results of the pre-registered tests, Holm over all of them."""
    return _results(curves, TESTS, OURS, runs=runs, marks=marks)


def null_arm(curves: Curves, *, runs: Sequence[Run], marks: Floats) -> list[Result]:
    """Return the same tests of uniform sampling with another seed, beside uniform sampling."""
    kinds = ("superiority", "non-inferiority")
    found: list[Result] = []
    for kind in kinds:
        tests = [Hypothesis(NULL_POOL, measure, kind) for measure in ("greedy", "sampled")]
        found += _results(curves, tests, NULL, runs=runs, marks=marks)
    return found


def claims(differences: Mapping[str, Floats]) -> list[str]:
    """Return the names of the tests that the whole procedure rejects, from paired differences."""
    bounds = {test.name: test.bound for test in TESTS}
    adjusted = holm({name: p_above(own, bounds[name]) for name, own in differences.items()})
    return [name for name, p in adjusted.items() if p <= ALPHA]


def false_positive_rate(curves: Curves, *, marks: Floats, num: int = 1000) -> float:
    """Return how often the procedure claims anything when signs are flipped; nan without pairs.

    Pools of the same skills share flips, as they share cold starts and may share uniform's cells.
    """
    found = {
        test: pair(curves, test.pool, OURS, BASE, measure=test.measure, marks=marks).differences
        for test in TESTS
    }
    found = {test: own for test, own in found.items() if own.size > 1}
    if not found:
        return math.nan
    return false_claims(
        {test.name: own for test, own in found.items()},
        {test.name: test.bound for test in found},
        {test.name: POOLS[test.pool].skills for test in found},
        claims,
        num=num,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One arm beside another on one pool: what is reported and not tested for claims."""

    pool: str
    arm: str
    base: str
    over_budget: Mapping[Measure, Mean]
    """Difference of mean accuracy over the budget."""
    final: Mapping[Measure, Mean]
    """Difference of accuracy at the budget."""
    reached: tuple[int, int]
    """Runs that reached the target, and runs."""
    restricted: float
    """Mean rollouts to the target up to the budget, censored there (area under Kaplan-Meier)."""
    saved: Mean
    """Rollouts to the target, censored at the budget, less the other arm's: paired."""
    log_rank_p: float
    """Two-sided, stratified by cold start."""


def beside(curves: Curves, pool: str, arm: str, base: str, *, marks: Floats) -> Beside | None:
    """Compare an arm with another on the runs that both have; None if there are none."""
    over, final = {}, {}
    measures: tuple[Measure, ...] = ("greedy", "sampled")
    for measure in measures:
        pairs = pair(curves, pool, arm, base, measure=measure, marks=marks)
        over[measure] = mean_of(pairs.differences)
        ends = [
            curves[pool, arm][run].accuracy(marks[-1:], measure)[0]
            - curves[pool, base][run].accuracy(marks[-1:], measure)[0]
            for run in pairs.runs
        ]
        final[measure] = mean_of(ends)
    if not pairs.runs:
        return None
    goals = targets(curves.get((pool, BASE), {}), marks)
    runs = [run for run in pairs.runs if run.cold_start in goals]
    ours, theirs = (_times(curves[pool, name], runs, goals, marks) for name in (arm, base))
    strata = [
        (n, n) for n in np.unique([run.cold_start for run in runs], return_counts=True)[1].tolist()
    ]
    return Beside(
        pool=pool,
        arm=arm,
        base=base,
        over_budget=over,
        final=final,
        reached=(int(ours.reached.sum()), len(runs)),
        restricted=restricted_mean(ours, float(marks[-1])) if runs else math.nan,
        saved=mean_of(ours.times - theirs.times),
        log_rank_p=log_rank(ours, theirs, strata) if runs else math.nan,
    )


def targets(uniform: Mapping[Run, Curve], marks: Floats) -> dict[int, float]:
    """Return each cold start's target: its sampled accuracy and 75% of uniform's mean gain.

    A cold start on which uniform sampling gains nothing has none.
    """
    found = {}
    for cold_start in sorted({run.cold_start for run in uniform}):
        own = np.stack(
            [c.accuracy(marks, "sampled") for run, c in uniform.items() if run[0] == cold_start]
        ).mean(axis=0)
        if own[-1] > own[0]:
            found[cold_start] = float(own[0] + TARGET_SHARE * (own[-1] - own[0]))
    return found


def _times(
    own: Mapping[Run, Curve], runs: Sequence[Run], goals: Mapping[int, float], marks: Floats
) -> Times:
    if not runs:
        return Times(np.zeros(0), np.zeros(0, dtype=np.bool_))
    curves = [own[run].accuracy(marks, "sampled") for run in runs]
    return times_to_target(marks, curves, [goals[run.cold_start] for run in runs])


def share(own: Mapping[Run, Curve], kind: str) -> float:
    """Return the mean share of training groups that are "silent" or have a "wrong_label"."""
    counts = [curve.cell["groups"] for curve in own.values()]
    return float(np.mean([sum(c[kind]) / sum(c["all"]) for c in counts]))


def mean_curve(own: Mapping[Run, Curve], measure: Measure, marks: Floats) -> NDArray[np.float64]:
    """Return the mean accuracy over runs at each mark: [marks]."""
    return np.stack([c.accuracy(marks, measure) for c in own.values()]).mean(axis=0)
