"""Simulated rollouts, whose luck depends on the prompt and its visits, not on the sampler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome, PromptIndices, Purpose
from vasari.theory.pools import PROMPT_KINDS, SimulatedPool

_CHANNELS = {
    "answer": 1,
    "luck": 2,
    "confidence": 3,
    "angle": 4,
    "replace": 5,
    "token": 6,
    "template": 7,
}
_VOCABULARY = 1000
DRIFT_PERIOD = 160
"""Steps of one cycle of a drifting rate."""
DRIFT_SPAN = 0.35
"""How far a drifting rate moves to either side."""
# Mean correlation of confidence and verdict of easy, middle and hard prompts of a small VLM: 0.94,
# 0.77, 0.59. A shift m between right and wrong answers of pass rate p gives m s / sqrt(m^2 s^2 + 1)
# with s^2 = p (1 - p); at p = 0.8, 0.5, 0.2:
_RATES, _SHIFTS = (0.2, 0.5, 0.8), (1.83, 2.41, 6.89)


def keyed_uniforms(*keys: int | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return random numbers, uniform in [0, 1), that the integer keys (broadcast arrays) decide.

    The finaliser of SplitMix64, key by key.
    """
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = state + (
                np.atleast_1d(np.asarray(key)).astype(np.uint64) + np.uint64(1)
            ) * np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    uniforms: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


@final
@dataclass(frozen=True, slots=True)
class SimulatedGroups:
    """Simulated rollouts of several prompts, one group per prompt: arrays [prompts, rollouts]."""

    indices: PromptIndices
    right: NDArray[np.float64]
    """1 where the answer is right, whatever the verdict says."""
    verdicts: NDArray[np.float64]
    confidence: NDArray[np.float64]
    """Least token log-probability: higher for right answers, whatever the verdict says."""
    tokens: list[list[NDArray[np.int32]]]
    """[prompts][rollouts] token ids."""

    @property
    def num_tokens(self) -> int:
        """Total number of tokens of all rollouts in these groups."""
        return sum(len(rollout) for group in self.tokens for rollout in group)

    def select(self, kept: NDArray[np.bool_]) -> SimulatedGroups:
        """Return a copy with only the groups for which the mask `kept` is True."""
        tokens = [self.tokens[place] for place in np.flatnonzero(kept)]
        return SimulatedGroups(
            self.indices[kept], self.right[kept], self.verdicts[kept], self.confidence[kept], tokens
        )

    def joined(self, later: SimulatedGroups) -> SimulatedGroups:
        """Return these groups, each with the rollouts of the same prompt in `later` appended."""
        return SimulatedGroups(
            self.indices,
            np.concatenate([self.right, later.right], axis=1),
            np.concatenate([self.verdicts, later.verdicts], axis=1),
            np.concatenate([self.confidence, later.confidence], axis=1),
            [[*before, *after] for before, after in zip(self.tokens, later.tokens, strict=True)],
        )

    def outcomes(self, purpose: Purpose, step: int) -> list[GroupOutcome]:
        """Return the groups as `GroupOutcome` records, the form that a prompt sampler takes."""
        return [
            GroupOutcome(
                index=int(index),
                rewards=verdicts,
                verdicts=verdicts,
                token_ids=tokens,
                confidence=confidence,
                purpose=purpose,
                batch=step,
            )
            for index, verdicts, confidence, tokens in zip(
                self.indices, self.verdicts, self.confidence, self.tokens, strict=True
            )
        ]


def pass_rates(
    pool: SimulatedPool, indices: PromptIndices, solve_rates: NDArray[np.float64], step: int
) -> NDArray[np.float64]:
    """Return each prompt's probability of a passing verdict, noise included.

    It follows from the prompt's kind and its probability of a right answer.
    """
    kinds, rates = pool.kinds[indices], pool.rates[indices]
    drift = rates + DRIFT_SPAN * np.sin(2.0 * math.pi * step / DRIFT_PERIOD + pool.phases[indices])
    by_kind = {
        "clean": solve_rates,
        "coin_flip": rates,
        "drifting": drift,
        "guessable": solve_rates + (1.0 - solve_rates) * rates,
        "mislabelled": (1.0 - solve_rates) * rates,
        "impossible": rates,
    }
    chosen: NDArray[np.float64] = np.choose(kinds, [by_kind[kind] for kind in PROMPT_KINDS])
    return chosen


def roll_out(
    pool: SimulatedPool,
    indices: PromptIndices,
    solve_rates: NDArray[np.float64],
    *,
    visits: NDArray[np.int64],
    num_rollouts: int,
    step: int,
    seed: int,
    first: int = 0,
) -> SimulatedGroups:
    """Simulate `num_rollouts` rollouts of each prompt in `indices`; return one group per prompt.

    The same prompt at its same visit uses the same random numbers in every arm of a comparison, so
    that arms differ by what they choose and not by luck.

    Args:
        pool: The pool.
        indices: [prompts] places in the pool.
        solve_rates: [prompts] probability that an answer is right.
        visits: [prompts] how often each was rolled out before.
        num_rollouts: Rollouts a prompt.
        step: Training steps so far, for rates that drift.
        seed: Seed of the comparison; different for refreshes and for training.
        first: Rollouts that these groups already have at this visit, which these continue.
    """
    rollout = np.arange(first, first + num_rollouts)[None, :]

    def uniforms(channel: str) -> NDArray[np.float64]:
        return keyed_uniforms(seed, _CHANNELS[channel], indices[:, None], visits[:, None], rollout)

    right = uniforms("answer") < solve_rates[:, None]
    # Where luck decides, the coin's own rate: the pass rate of a learner that never solves the
    # prompt.
    lucky = uniforms("luck") < pass_rates(pool, indices, np.zeros(len(indices)), step)[:, None]
    kinds = pool.kinds[indices][:, None]
    by_kind = {"clean": right, "guessable": right | lucky, "mislabelled": ~right & lucky}
    verdicts = np.choose(kinds, [by_kind.get(kind, lucky) for kind in PROMPT_KINDS])
    normal = np.sqrt(-2.0 * np.log1p(-uniforms("confidence"))) * np.cos(
        2.0 * math.pi * uniforms("angle")
    )
    shift = np.interp(solve_rates, _RATES, _SHIFTS)[:, None]
    return SimulatedGroups(
        indices,
        right.astype(np.float64),
        verdicts.astype(np.float64),
        np.minimum(normal + shift * (right - 1.0) - 4.0, 0.0),
        _tokens(pool, indices, visits, rollout, seed),
    )


def _tokens(
    pool: SimulatedPool,
    indices: PromptIndices,
    visits: NDArray[np.int64],
    rollout: NDArray[np.int64],
    seed: int,
) -> list[list[NDArray[np.int32]]]:
    """[prompts][rollouts] a prompt's template, with a share of tokens replaced: its diversity."""
    lengths = pool.lengths[indices]
    place = np.arange(int(lengths.max(initial=0)))[None, None, :]
    prompt, visit = indices[:, None, None], visits[:, None, None]
    template = keyed_uniforms(seed, _CHANNELS["template"], prompt, place)
    keys = (prompt, visit, rollout[:, :, None], place)
    replaced = (
        keyed_uniforms(seed, _CHANNELS["replace"], *keys) < pool.diversity[indices][:, None, None]
    )
    tokens = (
        _VOCABULARY * np.where(replaced, keyed_uniforms(seed, _CHANNELS["token"], *keys), template)
    ).astype(np.int32)
    return [
        [row[:length] for row in group]
        for group, length in zip(tokens, lengths.tolist(), strict=True)
    ]
