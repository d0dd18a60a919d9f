"""What is fixed before the study runs: pools, arms, runs, measures, tests and margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sample_efficiency.curves import MEASURES, Measure, Run
from vasari.core.errors import ConfigError

OURS, BASE, NULL = "weighted_passes", "uniform", "uniform_again"

NULL_POOL = "heterogeneous"
"""The pool on which uniform sampling is run once more, as an arm that is known to gain nothing."""

MARGIN = 0.02
"""Loss of mean accuracy that is too small to matter, in non-inferiority tests."""

FINAL_RUNS: tuple[Run, ...] = tuple(
    Run(cold_start, 200 + 3 * (cold_start - 1) + place)
    for cold_start in (1, 2, 3, 4)
    for place in range(3)
)
"""Four cold starts, three seeds each, every seed once."""

PILOT_RUNS: tuple[Run, ...] = tuple(Run(0, seed) for seed in (100, 101, 102, 103))

EXPLORATORY_RUNS: tuple[Run, ...] = tuple(
    Run(cold_start, 300 + cold_start) for cold_start in (1, 2, 3, 4)
)

USED_SEEDS = frozenset({*range(8), 100, 101, 102, 103})
"""Seeds of the earlier study, of the tuning of learning rates and of the pilot."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One confirmatory test of our sampler against uniform sampling."""

    pool: str
    measure: Measure
    kind: Literal["superiority", "non-inferiority"]

    @property
    def name(self) -> str:
        """Pool, measure and kind."""
        return f"{self.pool} / {self.measure} / {self.kind}"

    @property
    def bound(self) -> float:
        """The mean difference that the null hypothesis allows at most."""
        return 0.0 if self.kind == "superiority" else -MARGIN


SUPERIORITY_POOLS = ("heterogeneous", "no_features")
NON_INFERIORITY_POOLS = ("one_skill_once", "one_skill_four")
STUDY_POOLS = (*SUPERIORITY_POOLS, *NON_INFERIORITY_POOLS)


def _kind(pool: str, measure: Measure) -> Literal["superiority", "non-inferiority"]:
    """Greedy accuracy hardly moves within the budget, whatever is drawn: it must not fall."""
    wins = pool in SUPERIORITY_POOLS and measure == "sampled"
    return "superiority" if wins else "non-inferiority"


TESTS: tuple[Hypothesis, ...] = tuple(
    Hypothesis(pool, measure, _kind(pool, measure)) for pool in STUDY_POOLS for measure in MEASURES
)


def check_fresh(runs: Sequence[Run]) -> None:
    """Raise an error if a final seed was used before: for tuning, the pilot or an earlier study.

    Raises:
        ConfigError: A seed was used.
    """
    used = sorted({run.seed for run in runs} & USED_SEEDS)
    if used:
        raise ConfigError(f"seeds {used} were used before the study; give others with --runs")
