"""The sampler "arcus": a Kalman filter of each prompt's pass rate as an angle (ARCUS)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import NotNegative, Positive, Share, check_fields
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.passes import PoolPasses
from vasari.sample.ranked import tally
from vasari.sample.weighted import gumbel_top

_PRIOR_MEAN = math.pi / 4
_PRIOR_VARIANCE = math.pi**2 / 48
"""Of an angle that is anywhere in [0, pi/2] with equal chance."""
_NO_DRIFT = 1.0
"""Weight, in squared angles a batch, of "no drift" before groups were compared."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ArcusSettings:
    """Settings of the sampler "arcus"; temperature and first pass of ARCUS (arXiv:2609.38018)."""

    temperature: Positive = 0.3
    """Of the draw: a prompt's weight is exp(expected 4 p (1 - p) / temperature), above 0."""
    first_pass: bool = True
    """Whether every prompt comes once, in random order, before any is chosen."""
    random_walk: NotNegative = 1e-4
    """Variance that an angle gains with every batch, in squared radians, at least 0. Ours."""
    drift_memory: Share = 0.9
    """Share of the evidence about the drift that a batch keeps, in [0, 1]. Ours."""

    def __post_init__(self) -> None:
        check_fields(self)


@final
class ArcusSampler(PromptSampler):
    """Sampler that draws by the expected variance of verdicts under a filtered angle (ARCUS).

    With psi = arcsin(sqrt(p)) the noise of a group of G verdicts, m of them correct, hardly depends
    on p: z = arcsin(sqrt((m + 3/8) / (G + 3/4))) has variance R = 1 / (4 G + 2), and 1 / (2 G)
    where m is 0 or G. A Kalman filter keeps mean mu and variance P of each prompt's psi, from N(pi
    / 4, pi^2 / 48) on; from batch to batch mu moves by v sin(2 mu), the way of gradient ascent on
    p, with one v for all prompts. Prompts are drawn without replacement, with weights exp(s /
    temperature), where s = (1 - exp(-8 P) cos(4 mu)) / 2 is the expectation of 4 p (1 - p).

    Left out: the method rolls out a quarter more candidates than it trains on and keeps the best.
    Here each group that is rolled out is charged and trained. Ours, as the source we had does not
    say them: v by least squares over the groups of late batches, the angle's random walk, and the
    drift over several batches in closed form (tan mu grows by exp(2 v) a batch). The source was an
    account by others, not the paper.
    """

    name: ClassVar[str] = "arcus"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {
        "angle": _PRIOR_MEAN,
        "variance": _PRIOR_VARIANCE,
        "at": 0,
        "seen": 0,
    }
    saved = ("clock", "passes", "drift_sums")

    def __init__(
        self,
        settings: ArcusSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or ArcusSettings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        self._angle = np.full(size, _PRIOR_MEAN)
        self._variance = np.full(size, _PRIOR_VARIANCE)
        self._at = np.zeros(size, dtype=np.int32)
        self._seen = np.zeros(size, dtype=np.int32)
        self._passes = PoolPasses(size)
        self._drift_sums = _DriftSums()

    @property
    def drift(self) -> float:
        """How far an angle of pi/4 (a pass rate of 1/2) moves in a batch, in radians."""
        return self._drift_sums.drift

    def scores(self) -> NDArray[np.float64]:
        """Return the expectation of each prompt's 4 p (1 - p): [prompts], in [0, 1]."""
        angle, variance = self._now(np.arange(self.num_prompts))
        return np.asarray((1.0 - np.exp(-8.0 * variance) * np.cos(4.0 * angle)) / 2.0)

    def pass_rates(self) -> NDArray[np.float64]:
        """Return the expectation of each prompt's pass rate: [prompts], in [0, 1]."""
        angle, variance = self._now(np.arange(self.num_prompts))
        return np.asarray((1.0 - np.exp(-2.0 * variance) * np.cos(2.0 * angle)) / 2.0)

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: share of prompts seen, their mean pass rate, and the drift."""
        seen = self._seen > 0
        return {
            "sampler/seen_share": float(seen.mean()),
            "sampler/pass_rate_mean": (
                float(self.pass_rates()[seen].mean()) if seen.any() else math.nan
            ),
            "sampler/drift": self.drift,
        }

    def _now(self, at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance of the angles of the prompts `at`, in the present batch."""
        # What was never seen stays as it was.
        batches = np.where(self._seen[at] > 0, self._clock.now - self._at[at], 0)
        return _moved(
            self._angle[at],
            self._variance[at] + self.settings.random_walk * batches,
            self.drift * batches,
        )

    def _draw(self, num_prompts: int) -> Draw:
        picked = np.zeros(0, dtype=np.int64)
        if self.settings.first_pass and not self._passes.num_passes:
            picked = self._passes.draw(self._rng, min(num_prompts, self._passes.num_left))
        if missing := num_prompts - len(picked):
            weights = self.scores() / self.settings.temperature
            weights[picked] = -np.inf
            picked = np.concatenate([picked, gumbel_top(self._rng, weights, missing)])
        return draw_of(promoted=picked)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        seen = tally(groups)
        at = seen.prompts
        if not len(at):
            return
        angle, variance = self._now(at)
        num, right = seen.num_verifiable, seen.num_correct
        measured = np.arcsin(np.sqrt((right + 0.375) / (num + 0.75)))
        unanimous = (right == 0) | (right == num)
        noise = np.where(unanimous, 1.0 / (2.0 * num), 1.0 / (4.0 * num + 2.0))
        # Only what was seen before tells how angles move.
        again = (self._seen[at] > 0) & (self._clock.now > self._at[at])
        still, _ = _moved(self._angle[at], self._variance[at], np.zeros(len(at)))
        batches = (self._clock.now - self._at[at]).astype(np.float64)
        self._drift_sums = self._drift_sums.seeing(
            (measured - still)[again],
            (batches * np.sin(2.0 * still))[again],
            1.0 / (variance + noise)[again],
            memory=self.settings.drift_memory,
        )
        gain = variance / (variance + noise)
        self._angle[at] = np.clip(angle + gain * (measured - angle), 0.0, math.pi / 2)
        self._variance[at] = (1.0 - gain) * variance
        self._at[at] = self._clock.now
        self._seen[at] += 1

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        angle, variance = found["angle"], found["variance"]
        if not ((angle >= 0) & (angle <= math.pi / 2)).all():
            raise ValueError("saved 'angle' holds one outside [0, pi/2]")
        if not (np.isfinite(variance) & (variance >= 0)).all():
            raise ValueError("saved 'variance' holds one that is negative or infinite")


@dataclass(frozen=True, slots=True)
class _DriftSums:
    """Sums of a regression through the origin: how far angles moved on what they would by v."""

    moved: float = 0.0
    could: float = _NO_DRIFT

    @property
    def drift(self) -> float:
        return self.moved / self.could

    def seeing(
        self,
        moved: NDArray[np.float64],
        slope: NDArray[np.float64],
        weight: NDArray[np.float64],
        *,
        memory: float,
    ) -> _DriftSums:
        """Return the sums with a batch's groups added, older ones weighing `memory` of theirs."""
        return _DriftSums(
            memory * self.moved + float((weight * slope * moved).sum()),
            _NO_DRIFT + memory * (self.could - _NO_DRIFT) + float((weight * slope**2).sum()),
        )

    def state(self) -> dict[str, float]:
        """Return the sums as JSON values, to be saved."""
        return {"moved": self.moved, "could": self.could}

    def restored(self, state: Mapping[str, Any], origin: Any = None) -> _DriftSums:  # noqa: ARG002
        """Return saved sums; `origin` is not used.

        Raises:
            ValueError: They are not finite, or the divisor is not positive.
        """
        moved, could = float(state["moved"]), float(state["could"])
        if not (math.isfinite(moved) and math.isfinite(could) and could > 0):
            raise ValueError("saved sums of the drift are damaged")
        return _DriftSums(moved, could)


def _moved(
    angle: NDArray[np.float64], variance: NDArray[np.float64], drift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance of angles after they followed d psi = v sin(2 psi) for a while.

    Args:
        angle: [prompts] in [0, pi/2].
        variance: [prompts].
        drift: [prompts] v times the number of batches.
    """
    growth = np.exp(np.clip(2.0 * drift, -50.0, 50.0))
    sine, cosine = np.sin(angle), np.cos(angle)
    moved = np.arctan2(sine * growth, cosine)
    slope = growth / (cosine**2 + (sine * growth) ** 2)
    return moved, np.minimum(variance * slope**2, _PRIOR_VARIANCE)
