"""DPS: a hidden Markov model of whether each prompt is unsolved, partly solved or solved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Count, NotNegative, Positive, Share, check_fields
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.pool import read_array
from vasari.sample.ranked import Candidates, highest, tally

UNSOLVED, PARTIAL, SOLVED = 0, 1, 2
"""States of a prompt: all rollouts wrong, some right, all right."""

_NUM_STATES = 3
_FORGOTTEN = 1e-15


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HmmSettings:
    """Settings of the sampler "hmm"; defaults: DPS (arXiv:2603.10887) on visual geometry."""

    prior: Positive = 1.0
    """Dirichlet count of every transition before any was seen, above 0."""
    decay: Share = 0.5
    """Share of the counted transitions that each batch keeps, in [0, 1]."""
    entropy_weight: NotNegative = 0.0
    """How much a prompt's uncertainty (entropy of its state, in nats) adds to its score, at least
    0."""
    candidate_factor: Count = 8
    """Candidates per prompt of a batch, from a shuffled pass over the pool; 0: the whole pool."""

    def __post_init__(self) -> None:
        check_fields(self)


# The authors' numbers on visual geometry and on MATH.
HMM_PRESETS: dict[str, HmmSettings] = {
    "dps": HmmSettings(),
    "dps-math": HmmSettings(decay=0.7, candidate_factor=32),
}
"""Settings by the name that a recipe gives as `preset`."""


@final
class HmmSampler(PromptSampler):
    """Sampler that takes the prompts most likely to be partly solved now (DPS, arXiv:2603.10887).

    A prompt is unsolved, partly solved or solved, and a group shows its state. With counts A[to,
    from] of transitions, P = A / (sum of A over `to`) and pi = P b, where b is the belief about the
    state at the batch before, seeing state o sets

        A <- decay A + (1 - decay) prior + xi,    xi[o, j] = P[o, j] b[j] / pi[o], other rows 0,
        b <- one-hot of o,

    and a batch without a group `b <- pi`, then `A <- decay A + (1 - decay) prior`. The score is
    pi[partial] (plus `entropy_weight` times the entropy of pi), equal scores in random order. A
    prompt that was never seen has pi = 1/3.

    Only prompts whose counts differ from the prior are rolled forward: with counts equal to the
    prior, to 1e-15, every transition is equally likely and pi is 1/3, as for a prompt that was
    never seen. That is exact up to rounding, and a batch costs as much as the groups of the last
    dozens of batches, not as the pool. With `decay` 1 nothing is forgotten.

    Groups of one prompt at one batch are one group. The pool's candidates are the next stretch of a
    shuffled pass.
    """

    name: ClassVar[str] = "hmm"

    def __init__(
        self,
        settings: HmmSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or HmmSettings()
        """Settings that this sampler was made with."""
        self._known = _KnownPrompts.empty()
        self._candidates = Candidates(self.num_prompts, self.settings.candidate_factor)

    def states(self) -> NDArray[np.float64]:
        """Return each prompt's chance of being unsolved, partly solved, solved: [prompts, 3]."""
        self._roll()
        states = np.full((self.num_prompts, _NUM_STATES), 1 / _NUM_STATES)
        states[self._known.prompts] = self._known.predicted(self.settings.prior)
        return states

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: share of prompts tracked; mean chances of unsolved/partial/solved."""
        self._roll()
        mean = (
            self._known.predicted(self.settings.prior).mean(axis=0)
            if len(self._known.prompts)
            else np.full(3, math.nan)
        )
        return {
            "sampler/tracked_share": len(self._known.prompts) / self.num_prompts,
            "sampler/unsolved_mean": float(mean[UNSOLVED]),
            "sampler/partial_mean": float(mean[PARTIAL]),
            "sampler/solved_mean": float(mean[SOLVED]),
        }

    def _roll(self) -> None:
        """Advance every prompt's state probabilities to the batch before the present one."""
        self._known = self._known.rolled(self._clock.now - 1, self.settings)

    def _draw(self, num_prompts: int) -> Draw:
        self._roll()
        scores = np.full(
            self.num_prompts, self._scores(np.full((1, _NUM_STATES), 1 / _NUM_STATES))[0]
        )
        scores[self._known.prompts] = self._scores(self._known.predicted(self.settings.prior))
        candidates = self._candidates.draw(self._rng, num_prompts)
        picked = highest(
            scores if candidates is None else scores[candidates], num_prompts, self._rng
        )
        return draw_of(promoted=picked if candidates is None else candidates[picked])

    def _scores(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each prompt's score: [prompts], higher = taken first."""
        partial: NDArray[np.float64] = states[:, PARTIAL]
        if not self.settings.entropy_weight:
            return partial
        logs = np.log(states, out=np.zeros_like(states), where=states > 0)
        return np.asarray(partial - self.settings.entropy_weight * (states * logs).sum(axis=1))

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        seen = tally(groups)
        if not len(seen.prompts):
            return
        self._roll()
        states = np.full(len(seen.prompts), PARTIAL)
        states[seen.num_correct == 0] = UNSOLVED
        states[seen.num_correct == seen.num_verifiable] = SOLVED
        self._known = self._known.seeing(seen.prompts, states, self._clock.now, self.settings)

    def _state(self) -> dict[str, Any]:
        known = self._known
        return {
            "prompts": known.prompts.copy(),
            "excess": known.excess.reshape(-1).copy(),
            "before": known.before.reshape(-1).copy(),
            "at": known.at.copy(),
            "clock": self._clock.state(),
            "candidates": self._candidates.state(),
        }

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        prompts, at = (read_array(state, key, dtype=np.int64) for key in ("prompts", "at"))
        excess, before = (read_array(state, key, dtype=np.float64) for key in ("excess", "before"))
        known = _KnownPrompts(
            prompts,
            excess.reshape(-1, _NUM_STATES, _NUM_STATES),
            before.reshape(-1, _NUM_STATES),
            at,
        )
        known.check()
        if origin is not None:
            known = known.moved(origin)
        elif len(prompts) and prompts[-1] >= self.num_prompts:
            raise ValueError(f"saved prompt {prompts[-1]} of a pool of {self.num_prompts}")
        clock = self._clock.restored(state["clock"])
        self._candidates = self._candidates.restored(state["candidates"], origin)
        self._known, self._clock = known, clock


@dataclass(frozen=True, slots=True)
class _KnownPrompts:
    """State probabilities of the prompts that differ from a prompt never seen."""

    prompts: NDArray[np.int64]
    """[known] indices of these prompts, ascending."""
    excess: NDArray[np.float64]
    """[known, to, from] counts of transitions beyond the prior."""
    before: NDArray[np.float64]
    """[known, state] probability of each state at batch `at`."""
    at: NDArray[np.int64]
    """[known] the batch to which `before` refers."""

    @classmethod
    def empty(cls) -> _KnownPrompts:
        none = np.zeros(0, dtype=np.int64)
        return cls(none, np.zeros((0, _NUM_STATES, _NUM_STATES)), np.zeros((0, _NUM_STATES)), none)

    def predicted(self, prior: float) -> NDArray[np.float64]:
        """Return each known prompt's state probabilities one batch after `at`: [known, state]."""
        return _predicted(self.excess, self.before, prior)

    def rolled(self, batch: int, settings: HmmSettings) -> _KnownPrompts:
        """Return the state probabilities at `batch`, without prompts whose counts decayed away."""
        known = self
        while (behind := known.at < batch).any():
            excess, before, at = known.excess.copy(), known.before.copy(), known.at.copy()
            predicted = _predicted(excess[behind], before[behind], settings.prior)
            at_rest = (
                settings.decay == 1.0 and np.abs(predicted - before[behind]).max() <= _FORGOTTEN
            )
            before[behind] = predicted
            excess[behind] *= settings.decay
            at[behind] = batch if at_rest else at[behind] + 1
            known = _KnownPrompts(known.prompts, excess, before, at)._less_forgotten(settings.prior)
        return known

    def _less_forgotten(self, prior: float) -> _KnownPrompts:
        even = np.abs(self.before - 1 / _NUM_STATES).max(axis=1, initial=0.0) <= _FORGOTTEN
        kept = ~even | (self.excess.max(axis=(1, 2), initial=0.0) > _FORGOTTEN * prior)
        return self if kept.all() else self.taken(kept)

    def taken(self, rows: NDArray[Any]) -> _KnownPrompts:
        """Return the state probabilities of the prompts in `rows` only."""
        return _KnownPrompts(
            self.prompts[rows], self.excess[rows], self.before[rows], self.at[rows]
        )

    def seeing(
        self,
        prompts: NDArray[np.int64],
        states: NDArray[np.int64],
        batch: int,
        settings: HmmSettings,
    ) -> _KnownPrompts:
        """Return the state probabilities after groups at `batch` showed `prompts` in `states`."""
        known = self._joined_by(np.setdiff1d(prompts, self.prompts, assume_unique=True), batch)
        rows = np.searchsorted(known.prompts, prompts)
        again = known.at[rows] >= batch
        # Two groups of one batch are one: unlike states of them, or any partial one, make it partly
        # solved.
        shown = known.before[rows].argmax(axis=1)
        states = np.where(again & (shown != states), PARTIAL, states)
        new, at = rows[~again], states[~again]
        every = np.arange(len(new))
        weights = _transitions(known.excess[new], settings.prior)[every, at] * known.before[new]
        known.excess[new] *= settings.decay
        known.excess[new, at] += weights / weights.sum(axis=1, keepdims=True)
        known.before[rows] = np.eye(_NUM_STATES)[states]
        known.at[rows] = np.maximum(known.at[rows], batch)
        return known

    def _joined_by(self, fresh: NDArray[np.int64], batch: int) -> _KnownPrompts:
        """Return a copy that also holds the prompts `fresh`, which were never seen."""
        prompts = np.concatenate([self.prompts, fresh])
        order = np.argsort(prompts, kind="stable")
        excess = np.concatenate([self.excess, np.zeros((len(fresh), _NUM_STATES, _NUM_STATES))])
        before = np.concatenate([self.before, np.full((len(fresh), _NUM_STATES), 1 / _NUM_STATES)])
        at = np.concatenate([self.at, np.full(len(fresh), batch - 1, dtype=np.int64)])
        return _KnownPrompts(prompts[order], excess[order], before[order], at[order])

    def moved(self, origin: NDArray[np.int64]) -> _KnownPrompts:
        """Return the state probabilities for a changed pool; `origin`: each saved index, or -1."""
        rows = np.searchsorted(self.prompts, origin)
        found = (rows < len(self.prompts)) & (origin >= 0)
        found[found] = self.prompts[rows[found]] == origin[found]
        moved = self.taken(rows[found])
        return _KnownPrompts(
            np.flatnonzero(found).astype(np.int64), moved.excess, moved.before, moved.at
        )

    def check(self) -> None:
        """Check that saved state probabilities are consistent.

        Raises:
            ValueError: Lengths that do not fit, prompts out of order, counts below 0, beliefs that
                do not sum to 1.
        """
        if not len(self.prompts) == len(self.excess) == len(self.before) == len(self.at):
            raise ValueError("saved beliefs have different lengths")
        if len(self.prompts) and (self.prompts[0] < 0 or (np.diff(self.prompts) <= 0).any()):
            raise ValueError("saved prompts are not in order")
        if not (np.isfinite(self.excess).all() and (self.excess >= 0).all()):
            raise ValueError("saved counts of transitions are negative or infinite")
        if not ((self.before >= 0).all() and np.allclose(self.before.sum(axis=1), 1.0)):
            raise ValueError("saved beliefs are no probabilities")


def _transitions(excess: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    """Return the expected probability of each state transition: [prompts, to, from]."""
    counts = prior + excess
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _predicted(
    excess: NDArray[np.float64], before: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    states = np.einsum("nij,nj->ni", _transitions(excess, prior), before)
    return np.asarray(states / states.sum(axis=1, keepdims=True))
