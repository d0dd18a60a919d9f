"""Base class and settings of samplers that wrap another sampler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import GroupOutcome, PromptIndices
from vasari.sample.base import PromptSampler

_GIVEN_BY_THE_WRAPPER = ("name", "num_prompts", "seed", "prompt_ids", "features")


class SamplerWrapper(PromptSampler):
    """Base class of samplers that change the batches of another sampler, the inner sampler.

    The refreshes of the inner sampler stay as they are.
    A subclass says how batches change (`_draw`), and adds what it learns (`_observe`), logs
    (`metrics`) and keeps (`saved_by_prompt` and `saved`). Batches hold no prompt twice, so the
    inner sampler must draw without replacement.
    """

    def __init__(
        self, *, inner: PromptSampler, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        """Create a wrapper around the sampler `inner`, over the same pool.

        Args:
            inner: The wrapped sampler; the wrapper alone may draw from it from now on.
            seed: Seed of the wrapper's own generator, another than the inner sampler's.
            prompt_ids: As the inner sampler was given.

        Raises:
            ConfigError: The inner sampler draws with replacement.
        """
        super().__init__(num_prompts=inner.num_prompts, seed=seed, prompt_ids=prompt_ids)
        if not inner.unique:
            raise ConfigError(
                f"sampler {self.name!r} cannot wrap {inner.name!r} with replacement: a batch would"
                " hold prompts twice; give the inner sampler replacement=False"
            )
        self.inner = inner
        """The wrapped sampler."""
        self._batch = 0

    @property
    def uses_logprobs(self) -> bool:
        """Whether the inner sampler learns from token log-probabilities (groups' `confidence`)."""
        return self.inner.uses_logprobs

    @property
    def refresh_every(self) -> int:
        """Number of batches between the inner sampler's refreshes (rollouts for new scores)."""
        return self.inner.refresh_every

    def scores(self) -> NDArray[np.float64] | None:
        """Return the inner sampler's score of each prompt, [prompts], or None if it has none."""
        return self.inner.scores()

    @property
    def num_rollouts_due(self) -> int:
        """Number of extra rollouts of each prompt that the inner sampler's `due` returns."""
        return self.inner.num_rollouts_due

    def due(self, batch: int) -> PromptIndices:
        """Return the prompts for which the inner sampler wants extra rollouts before this batch."""
        self._batch = batch
        return self.inner.due(batch)

    def metrics(self) -> Mapping[str, float]:
        """Return the inner sampler's metrics; a subclass adds its own."""
        return self.inner.metrics()

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        self.inner.observe(groups)

    def _state(self) -> dict[str, Any]:
        return {"batch": self._batch, "own": super()._state(), "inner": self.inner.state_dict()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        found = {**self._read(state["own"], origin), "batch": int(state["batch"])}
        # It raises and changes nothing, or it is the first to change.
        self.inner.load_state_dict(state["inner"], remap=origin is not None)
        for name, value in found.items():
            setattr(self, f"_{name}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapperSettings:
    """Base settings of a sampler wrapper: the inner sampler's name and settings."""

    inner: str = "uniform"
    """Name of the sampler whose batches are changed."""
    inner_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the inner sampler, `preset` included."""

    def __post_init__(self) -> None:
        check_fields(self)
        given = self.inner_settings
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise ConfigError(f"inner_settings must be settings by name, got {given!r}")
        taken = [key for key in _GIVEN_BY_THE_WRAPPER if key in given]
        if taken:
            raise ConfigError(
                f"inner_settings cannot hold {', '.join(taken)}: the wrapper gives it to its inner"
                " sampler"
            )
