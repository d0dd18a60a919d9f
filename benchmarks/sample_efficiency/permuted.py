"""A negative control: a sampler whose observations are attributed to the wrong prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError
from vasari.records import Draw, GroupOutcome, PromptIndices
from vasari.sample import PromptSampler


@final
class PermutedSampler(PromptSampler):
    """A control sampler: a random permutation, new after each observation, swaps drawn prompts.

    What is observed goes back to the index that was meant. The inner sampler works as ever, with
    the same spread of scores, but its beliefs are about nothing; if it still gains, the gain does
    not come from knowing prompts.
    """

    name: ClassVar[str] = "permuted"

    def __init__(
        self, inner: PromptSampler, *, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        super().__init__(num_prompts=inner.num_prompts, seed=seed, prompt_ids=prompt_ids)
        if inner.num_rollouts_due:
            raise ConfigError(
                f"the control cannot permute {inner.name!r}, which asks for rollouts of its own"
            )
        self.inner = inner
        """The sampler whose beliefs are about nothing."""
        self._places = self._rng.permutation(self.num_prompts)
        self._used = False

    @property
    def unique(self) -> bool:
        """Whether the inner sampler draws no prompt twice in a batch."""
        return self.inner.unique

    @property
    def uses_logprobs(self) -> bool:
        """Whether the inner sampler uses the rollouts' log-probabilities."""
        return self.inner.uses_logprobs

    def due(self, batch: int) -> PromptIndices:
        """Ask the inner sampler, so that it knows the batch; it never asks for extra rollouts."""
        return self.inner.due(batch)

    def metrics(self) -> Mapping[str, float]:
        """Return the inner sampler's metrics."""
        return self.inner.metrics()

    def _draw(self, num_prompts: int) -> Draw:
        if self._used:
            self._places = self._rng.permutation(self.num_prompts)
            self._used = False
        meant = self.inner.draw(num_prompts)
        return Draw(self._places[meant.indices].astype(np.int64), meant.roles)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        meant = np.argsort(self._places)
        self.inner.observe(
            [dataclasses.replace(group, index=int(meant[group.index])) for group in groups]
        )
        self._used = True

    def _state(self) -> dict[str, Any]:
        return {"places": self._places.copy(), "used": self._used, "inner": self.inner.state_dict()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        places = np.array(state["places"], dtype=np.int64)
        if origin is None and not np.array_equal(np.sort(places), np.arange(self.num_prompts)):
            raise ValueError("the saved places are no permutation of the pool")
        used = bool(state["used"])
        self.inner.load_state_dict(state["inner"], remap=origin is not None)
        if (
            origin is None
        ):  # over a changed pool, the permutation that it was made with is as good as any
            self._places, self._used = places, used
