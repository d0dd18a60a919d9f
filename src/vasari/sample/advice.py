"""What choosing prompts could win on a pool, read from one group of rollouts of each prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError
from vasari.sample.weighted_passes import WeightedPassesSettings
from vasari.score.value import group_value

Floats = NDArray[np.float64]

WORTH_IT = 1.05
"""Least gain, in steps of the same size, for which choosing is worth the trouble."""
LEARNABLE = 0.2
"""Mean coherence below which most of the variance of verdicts looks like noise."""
TOLD_APART = 0.02
"""Share of a constant's log loss that a prediction must save to count as knowledge."""

_LEVELS = np.linspace(-6.0, 6.0, 61)
_VARIANCES = np.array([0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_CHOICE = WeightedPassesSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What choosing prompts could win on a pool, and which sampler to take."""

    num_prompts_seen: int
    """Prompts with a verifiable rollout."""
    group_size: int
    """Rollouts of a training group that the figures below are for."""
    pass_rate: float
    """Mean pass rate."""
    never: float
    """Share of prompts with no right rollout among those given."""
    always: float
    """Share of prompts with no wrong rollout."""
    level: float
    """Mean of the logit-normal distribution of pass rates that fits the counts best."""
    spread: float
    """Its standard deviation, in logits."""
    silent_share: float
    """Share of silent groups under uniform sampling, from the fit: what a group of `group_size`
    rollouts has no advantage in."""
    most: float
    """At most so many times the progress of uniform sampling for the same rollouts: if no group
    were silent. With Adam steps go as the root of the share of groups that are not."""
    reachable: float
    """The same for weights like those of "weighted_passes", if every pass rate were known."""
    passes: float
    """Planned passes over the pool under uniform sampling."""
    coherence: float
    """Mean coherence of mixed groups (do verdicts follow the policy's confidence); nan: not
    known."""
    saved: float
    """Share of a constant's log loss that features save on prompts never seen; nan: not known."""
    sampler: str
    """The sampler to take."""
    reasons: tuple[str, ...]
    """Why, and what to look at; one sentence each."""


def advise(
    correct: Floats,
    num: Floats,
    *,
    group_size: int,
    passes: float,
    coherence: float = math.nan,
    saved: float = math.nan,
) -> Advice:
    """Return what choosing prompts could win on a pool, and which sampler to take.

    Args:
        correct: [prompts] right rollouts of each prompt, under one policy.
        num: [prompts] its verifiable rollouts.
        group_size: Rollouts of a training group, at least 2.
        passes: Planned passes over the pool under uniform sampling, above 0.
        coherence: Mean coherence of the mixed groups, nan if not known.
        saved: Share of a constant's log loss that features save on prompts never seen, or nan.

    Raises:
        DataError: No prompt has a verifiable rollout, or `passes` is not above 0.
    """
    known = num > 0
    correct, num = correct[known], num[known]
    if not correct.size:
        raise DataError("no prompt has a verifiable rollout: there is nothing to advise on")
    if not passes > 0:
        raise DataError(f"planned passes must be above 0, got {passes:g}")
    level, spread = fit_pass_rates(correct, num)
    rates = 1.0 / (1.0 + np.exp(-(level + spread * _NODES)))
    mixed = np.asarray(group_value(rates, group_size, "mix"))
    worth = np.asarray(group_value(rates, group_size, "std"))
    weights = np.maximum((worth / worth.max()) ** _CHOICE.power, _CHOICE.least) * _WEIGHTS
    uniform, chosen = float(mixed @ _WEIGHTS), float(mixed @ weights / weights.sum())
    most, reachable = math.sqrt(1.0 / uniform), math.sqrt(chosen / uniform)
    sampler, reasons = _decide(reachable, passes, coherence, saved, uniform)
    return Advice(
        num_prompts_seen=int(correct.size),
        group_size=group_size,
        pass_rate=float((correct / num).mean()),
        never=float((correct == 0).mean()),
        always=float((correct == num).mean()),
        level=level,
        spread=spread,
        silent_share=1.0 - uniform,
        most=most,
        reachable=max(1.0, reachable),
        passes=passes,
        coherence=coherence,
        saved=saved,
        sampler=sampler,
        reasons=tuple(reasons),
    )


def fit_pass_rates(correct: Floats, num: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of the logits that fit counts best, by a grid.

    The likelihood of k of n right is that of a binomial count whose logit is normal.
    """
    pairs, times = np.unique(np.stack([correct, num], axis=1), axis=0, return_counts=True)
    best = (-math.inf, 0.0, 1.0)
    right, wrong = pairs[:, :1], pairs[:, 1:] - pairs[:, :1]
    for variance in _VARIANCES:
        logits = _LEVELS[:, None, None] + math.sqrt(variance) * _NODES
        exponents = -right * np.logaddexp(0.0, -logits) - wrong * np.logaddexp(0.0, logits)
        top = exponents.max(axis=2, keepdims=True)
        found = np.log(np.exp(exponents - top) @ _WEIGHTS) + top[..., 0]
        totals = found @ times
        place = int(totals.argmax())
        best = max(best, (float(totals[place]), float(_LEVELS[place]), math.sqrt(variance)))
    return best[1], best[2]


def _decide(
    reachable: float, passes: float, coherence: float, saved: float, uniform: float
) -> tuple[str, list[str]]:
    reasons = []
    if coherence < LEARNABLE:
        reasons.append(
            f"Verdicts hardly follow the policy's confidence (coherence {coherence:.2f}): look at"
            " labels and verifier before you choose prompts by variance."
        )
    if reachable < WORTH_IT:
        reasons.append(
            f"{uniform:.0%} of uniform groups are mixed already, or prompts are too alike: even"
            f" known pass rates would give {reachable:.2f} times the progress."
        )
        return "uniform", reasons
    if passes <= 1.0 and not saved >= TOLD_APART:
        told = "nothing is known of" if math.isnan(saved) else "wording and categories do not tell"
        reasons.append(
            f"The pool is passed {passes:.2g} times, so a prompt's own groups come too late, and"
            f" {told} how hard unseen prompts are."
        )
        return "uniform", reasons
    how = []
    if passes > 1.0:
        how.append(f"the pool is passed {passes:.2g} times, so a prompt's own groups tell")
    if saved >= TOLD_APART:
        how.append(f"features save {saved:.0%} of the log loss on unseen prompts")
    reasons.append(f"{1 - uniform:.0%} of uniform groups are silent, and {' and '.join(how)}.")
    return "weighted_passes", reasons
