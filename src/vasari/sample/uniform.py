"""Uniform sampling: the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Draw, GroupOutcome, PromptIndices, Role
from vasari.sample.base import PromptSampler
from vasari.sample.passes import PoolPasses


@final
class UniformSampler(PromptSampler):
    """Every prompt once per pass, reshuffled each pass, never twice in a batch. It learns
    nothing.
    """

    name: ClassVar[str] = "uniform"

    def __init__(
        self, *, num_prompts: int, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self._passes = PoolPasses(self.num_prompts)

    def due(self, batch: int) -> PromptIndices:  # noqa: ARG002
        """Never requests rollouts."""
        return np.zeros(0, dtype=np.int64)

    def metrics(self) -> Mapping[str, float]:
        """How many passes over the pool are complete."""
        return {"sampler/passes": float(self._passes.num_passes)}

    def _draw(self, num_prompts: int) -> Draw:
        roles: list[Role] = ["uniform"] * num_prompts
        return Draw(self._passes.draw(self._rng, num_prompts), tuple(roles))

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        pass

    def _state(self) -> dict[str, Any]:
        return {"passes": self._passes.state()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        self._passes = PoolPasses.restored(state["passes"], self.num_prompts, origin)
