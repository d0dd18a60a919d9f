"""What samplers that wrap another sampler have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError
from vasari.core.records import GroupOutcome, PromptIndices
from vasari.sample.base import PromptSampler

_GIVEN_BY_THE_WRAPPER = ("name", "num_prompts", "seed", "prompt_ids", "features")


class SamplerWrapper(PromptSampler):
    """A sampler that changes the batches of an inner sampler; what is due is the inner sampler's,
    and so is what it learns.

    A subclass says how batches change (`_draw`), and what it learns and keeps of its own (`_learn`,
    `_own_state`, `_own_restored`). Batches hold no prompt twice, so the inner sampler must draw
    without replacement.
    """

    def __init__(
        self, *, inner: PromptSampler, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        """A wrapper around `inner`, over the same pool.

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
        """As the inner sampler."""
        return self.inner.uses_logprobs

    @property
    def refresh_every(self) -> int:
        """As the inner sampler."""
        return self.inner.refresh_every

    def scores(self) -> NDArray[np.float64] | None:
        """The inner sampler's."""
        return self.inner.scores()

    @property
    def num_rollouts_due(self) -> int:
        """Rollouts that a prompt of `due` wants: the inner sampler's."""
        return self.inner.num_rollouts_due

    def due(self, batch: int) -> PromptIndices:
        """What the inner sampler asks for."""
        self._batch = batch
        return self.inner.due(batch)

    def metrics(self) -> Mapping[str, float]:
        """The inner sampler's numbers and the wrapper's own."""
        return {**self.inner.metrics(), **self._own_metrics()}

    @abstractmethod
    def _own_metrics(self) -> Mapping[str, float]:
        """The wrapper's own numbers, named `sampler/...`."""

    @abstractmethod
    def _learn(self, groups: Sequence[GroupOutcome]) -> None:
        """Learn from groups, after the inner sampler did."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """The wrapper's own state: JSON values and copies of arrays."""

    @abstractmethod
    def _own_restored(
        self, state: Mapping[str, Any], origin: NDArray[np.int64] | None
    ) -> Callable[[], None]:
        """What takes over `_own_state` once it is called; all checks come before, and nothing has
        changed until then.
        """

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        self.inner.observe(groups)
        self._learn(groups)

    def _state(self) -> dict[str, Any]:
        return {"batch": self._batch, "own": self._own_state(), "inner": self.inner.state_dict()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        batch = int(state["batch"])
        take_over = self._own_restored(state["own"], origin)
        # Last, as it is the one part that changes something, or raises and changes nothing.
        self.inner.load_state_dict(state["inner"], remap=origin is not None)
        self._batch = batch
        take_over()


def check_inner(inner: Any, inner_settings: Any) -> None:
    """Return if a wrapper's `inner` is a name and its `inner_settings` are settings by name.

    Raises:
        ConfigError: They are not, or the settings hold what the wrapper itself gives to its inner
            sampler.
    """
    if not isinstance(inner, str):
        raise ConfigError(f"inner must be the name of a sampler, got {inner!r}")
    if not isinstance(inner_settings, Mapping) or not all(
        isinstance(key, str) for key in inner_settings
    ):
        raise ConfigError(f"inner_settings must be settings by name, got {inner_settings!r}")
    taken = [key for key in _GIVEN_BY_THE_WRAPPER if key in inner_settings]
    if taken:
        raise ConfigError(
            f"inner_settings cannot hold {', '.join(taken)}: the wrapper gives it to its inner"
            " sampler"
        )
