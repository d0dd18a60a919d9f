"""Prompt Replay: prompts whose last group was about half right are drawn again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Count, PositiveCount, Share, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.passes import PoolPasses
from vasari.sample.ranked import highest, tally

_NEVER = np.iinfo(np.int32).min // 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """Settings of the sampler "replay" (Prompt Replay, arXiv:2603.21177).

    The share, the cooldown and the reuses are our choice.
    """

    replay_share: Share = 0.5
    """Largest share of a batch that is replayed, in [0, 1]; the rest is fresh."""
    lowest_rate: Share = 0.25
    """Least pass rate that brings a prompt into the replay buffer, in [0, 1]."""
    highest_rate: Share = 0.75
    """Largest pass rate that brings a prompt into the replay buffer, in [0, 1]."""
    cooldown: Count = 5
    """Batches that must lie between a visit of a prompt, fresh or not, and its next replay, at
    least 0."""
    max_reuse: PositiveCount = 3
    """Replays of a prompt between two fresh visits, at least 1."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.lowest_rate > self.highest_rate:
            raise ConfigError(
                f"lowest_rate {self.lowest_rate} is above highest_rate {self.highest_rate}"
            )


@final
class ReplaySampler(PromptSampler):
    """Sampler that replays prompts of middling pass rate, and draws the rest by shuffled passes.

    Prompt Replay (arXiv:2603.21177): a prompt whose last group's pass rate p lies in [0.25, 0.75]
    is in the buffer. Up to `floor(replay_share B)` places go to buffered prompts, nearest to 1/2
    first (equal ones in random order), that were not drawn within the last `cooldown` batches and
    not replayed `max_reuse` times; the others are fresh: every prompt once per shuffled pass.
    Prompts are reused, never rollouts. A group outside the band takes its prompt out of the buffer;
    a fresh visit lets a prompt be replayed `max_reuse` times anew.
    """

    name: ClassVar[str] = "replay"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {
        "rates": math.nan,
        "num_reused": 0,
        "drawn_at": _NEVER,
    }
    saved = ("num_replayed", "clock", "passes")

    def __init__(
        self,
        settings: ReplaySettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or ReplaySettings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        # Last pass rate of a buffered prompt; nan: not in the buffer.
        self._rates = np.full(size, np.nan)
        self._num_reused = np.zeros(size, dtype=np.int32)
        self._drawn_at = np.full(size, _NEVER, dtype=np.int32)
        self._num_replayed = 0
        self._passes = PoolPasses(size)

    def buffered(self) -> NDArray[np.int64]:
        """Return the prompts in the replay buffer (last pass rate middling): int64, ascending."""
        return np.flatnonzero(~np.isnan(self._rates)).astype(np.int64)

    def metrics(self) -> Mapping[str, float]:
        """Return counts: passes over the pool; prompts buffered, ready for replay, and replayed."""
        buffered = self.buffered()
        return {
            "sampler/passes": float(self._passes.num_passes),
            "sampler/buffer_size": float(len(buffered)),
            "sampler/buffer_ready": float(self._ready(buffered).sum()),
            "sampler/replayed": float(self._num_replayed),
        }

    def _ready(self, prompts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a boolean mask of the prompts that have cooled down and have replays left."""
        cooled = self._clock.now - self._drawn_at[prompts].astype(np.int64) > self.settings.cooldown
        return np.asarray(cooled & (self._num_reused[prompts] < self.settings.max_reuse))

    def _draw(self, num_prompts: int) -> Draw:
        buffered = self.buffered()
        ready = buffered[self._ready(buffered)]
        num = min(len(ready), math.floor(self.settings.replay_share * num_prompts + 1e-9))
        replayed = ready[highest(-np.abs(self._rates[ready] - 0.5), num, self._rng)]
        fresh = self._passes.draw(self._rng, num_prompts - num, excluded=replayed)
        self._num_reused[replayed] += 1
        self._num_reused[fresh] = 0
        self._num_replayed = num
        draw = draw_of(promoted=replayed, uniform=fresh)
        self._drawn_at[draw.indices] = self._clock.now
        return draw

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        seen = tally(groups)
        rates = seen.pass_rates
        middling = (rates >= self.settings.lowest_rate) & (rates <= self.settings.highest_rate)
        self._rates[seen.prompts] = np.where(middling, rates, np.nan)

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        rates = found["rates"]
        if ((rates < 0) | (rates > 1)).any() or (found["num_reused"] < 0).any():
            raise ValueError("a saved pass rate is outside [0, 1], or a count negative")
