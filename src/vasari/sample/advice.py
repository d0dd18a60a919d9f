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

_RATES: Floats = np.concatenate([[0.0], np.linspace(0.005, 0.995, 199), [1.0]])
_ROUNDS = 2000
_CHOICE = WeightedPassesSettings()
_NO_MIXED = 1e-4
"""Share of mixed groups that counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What choosing prompts could win on a pool, and which sampler to take."""

    num_prompts_seen: int
    """Prompts with two verifiable rollouts or more."""
    group_size: int
    """Rollouts of a training group that the figures below are for."""
    pass_rate: float
    """Mean pass rate."""
    never: float
    """Share of prompts with no right rollout among those given."""
    always: float
    """Share of prompts with no wrong rollout."""
    spread: float
    """Standard deviation of prompts' pass rates, from the fit: without the luck of few rollouts."""
    silent_share: float
    """Share of groups of `group_size` rollouts that are silent under uniform sampling, from the
    fit."""
    without_silence: float
    """So many times the progress of uniform sampling for the same rollouts if no group were silent
    (a rule of thumb: with Adam, steps go as the root of the share of groups that are not; avoiding
    noise can win more); nan if all are."""
    reachable: float
    """The same for weights like those of "weighted_passes", if every pass rate were known."""
    passes: float
    """Planned passes over the pool under uniform sampling."""
    coherence: float
    """Mean coherence of mixed groups (do verdicts follow the policy's confidence); nan: not
    known."""
    saved: float
    """Share of a belief's log loss on prompts never seen that features save it; nan: not known."""
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
        saved: Share of a belief's log loss on prompts never seen that features save it, or nan.

    Raises:
        DataError: No prompt has two verifiable rollouts, or `passes` is not above 0.
    """
    known = num >= 2
    correct, num = correct[known], num[known]
    if not correct.size:
        raise DataError(
            "no prompt has two verifiable rollouts or more: there is nothing to advise on"
        )
    if not passes > 0:
        raise DataError(f"planned passes must be above 0, got {passes:g}")
    shares = fit_pass_rates(correct, num)
    uniform, chosen = _mixed_shares(shares, group_size)
    is_hopeless = uniform < _NO_MIXED
    reachable = 1.0 if is_hopeless else max(1.0, math.sqrt(chosen / uniform))
    sampler, reasons = _decide(reachable, passes, coherence, saved, uniform)
    if group_size > float(np.median(num)):
        reasons.append(
            f"Most prompts have fewer rollouts than a group of {group_size}: how many groups will"
            " be silent is an extrapolation."
        )
    mean = float(_RATES @ shares)
    return Advice(
        num_prompts_seen=int(correct.size),
        group_size=group_size,
        pass_rate=float((correct / num).mean()),
        never=float((correct == 0).mean()),
        always=float((correct == num).mean()),
        spread=math.sqrt(max(0.0, float((_RATES - mean) ** 2 @ shares))),
        silent_share=1.0 - uniform,
        without_silence=math.nan if is_hopeless else math.sqrt(1.0 / uniform),
        reachable=reachable,
        passes=passes,
        coherence=coherence,
        saved=saved,
        sampler=sampler,
        reasons=tuple(reasons),
    )


def _mixed_shares(shares: Floats, group_size: int) -> tuple[float, float]:
    """Return the share of mixed groups under uniform sampling, and under the sampler's weights."""
    mixed = np.asarray(group_value(_RATES[1:-1], group_size, "mix"))
    worth = np.asarray(group_value(_RATES[1:-1], group_size, "std"))
    # Prompts that are always or never solved have no mixed group and the least weight.
    mixed, worth = (np.concatenate([[0.0], own, [0.0]]) for own in (mixed, worth))
    best = float(worth[shares > _NO_MIXED].max(initial=_NO_MIXED))
    weights = np.maximum(np.minimum(worth / best, 1.0) ** _CHOICE.power, _CHOICE.least) * shares
    return float(mixed @ shares), float(mixed @ weights / weights.sum())


def fit_pass_rates(correct: Floats, num: Floats) -> Floats:
    """Return the share of prompts at each of 201 pass rates from 0 to 1 that fits counts best.

    The nonparametric maximum likelihood of a mixture of binomial counts, by the EM algorithm (Laird
    1978): no shape of the distribution is assumed, so that pools of solved and hopeless prompts are
    fitted as well as middling ones.

    Args:
        correct: [prompts] right rollouts.
        num: [prompts] rollouts, at least 1.
    """
    pairs, times = np.unique(np.stack([correct, num], axis=1), axis=0, return_counts=True)
    right, wrong = pairs[:, :1], pairs[:, 1:] - pairs[:, :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.where(right > 0, right * np.log(_RATES), 0.0)
        exponents += np.where(wrong > 0, wrong * np.log1p(-_RATES), 0.0)
    likelihood = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    shares: Floats = np.full(len(_RATES), 1.0 / len(_RATES))
    for _ in range(_ROUNDS):
        joint = likelihood * shares
        shares = times @ (joint / joint.sum(axis=1, keepdims=True)) / times.sum()
    return shares


def _decide(
    reachable: float, passes: float, coherence: float, saved: float, uniform: float
) -> tuple[str, list[str]]:
    reasons = []
    if coherence < LEARNABLE:
        reasons.append(
            f"Verdicts hardly follow the policy's confidence (coherence {coherence:.2f}): look at"
            " labels and verifier before you choose prompts by variance."
        )
    if uniform < _NO_MIXED:
        reasons.append(
            "No group is mixed, so there is nothing to learn from and nothing to choose: look at"
            " the verifier, or take easier or harder prompts."
        )
        return "uniform", reasons
    if reachable < WORTH_IT:
        reasons.append(
            f"{uniform:.0%} of uniform groups are mixed already, or prompts are too alike: even"
            f" known pass rates would give {reachable:.2f} times the progress."
        )
        return "uniform", reasons
    if not saved >= TOLD_APART:
        told = "nothing is known of" if math.isnan(saved) else "wording and categories do not tell"
        late = (
            "come too late"
            if passes <= 1.0
            else "are all there is to go by, which gained nothing on such a pool when it was"
            " measured over four passes (docs/choosing.md)"
        )
        reasons.append(
            f"The pool is passed {passes:.2g} times: a prompt's own groups {late}, and {told} how"
            " hard unseen prompts are."
        )
        return "uniform", reasons
    reasons.append(
        f"{1 - uniform:.0%} of uniform groups are silent, and features save {saved:.0%} of the log"
        " loss on unseen prompts."
    )
    return "weighted_passes", reasons
