"""Uniform sampling: the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, final

from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.passes import PoolPasses


@final
class UniformSampler(PromptSampler):
    """Sampler that draws every prompt once per pass, in a new order each pass, learning nothing."""

    name: ClassVar[str] = "uniform"
    saved = ("passes",)

    def __init__(
        self, *, num_prompts: int, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self._passes = PoolPasses(self.num_prompts)

    def metrics(self) -> Mapping[str, float]:
        """Return the number of completed passes over the pool, for a log line."""
        return {"sampler/passes": float(self._passes.num_passes)}

    def _draw(self, num_prompts: int) -> Draw:
        return draw_of(uniform=self._passes.draw(self._rng, num_prompts))

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        pass
