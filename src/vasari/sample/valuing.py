"""What samplers share that draw by the value of a prompt's next group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import NotNegative, Positive, check_fields
from vasari.core.records import GroupOutcome
from vasari.sample.base import PromptSampler
from vasari.sample.features import PoolFeatures
from vasari.sample.prompt_values import PromptValues


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSettings:
    """Settings of how the value of a prompt's next group is estimated; False switches a part off.

    Samplers extend this class.
    """

    shared: bool = True
    """Learn pass rates across prompts too, by their categories and feature values."""
    prior_variance: Positive = 2.0
    """First guess of the variance by which prompts' pass-rate logits differ; it is then fitted to
    the first groups of prompts. A prompt not seen for long returns to it."""
    drift: NotNegative = 0.03
    """Variance that each batch without rollouts of a prompt adds to its logit."""
    coherence: bool = True
    """Distrust verdicts that the policy's confidence does not predict."""
    agreement: bool = True
    """Distrust a prompt on which one and the same answer was judged both right and wrong, or whose
    majority answer is refused again and again."""
    inert_guard: bool = True
    """Distrust counts that a pass rate which never moves explains better, unless they rise."""

    def __post_init__(self) -> None:
        check_fields(self)


class ValuingSampler(PromptSampler):
    """Base class of samplers that draw by `PromptValues`, learnt from training groups alone.

    A subclass names the class of its settings and says how prompts are drawn (`_draw`), leaving
    what it drew by value in `_picked`.
    """

    settings_class: ClassVar[type[ValueSettings]] = ValueSettings
    saved: ClassVar[Sequence[str]] = ("clock", "picked")

    def __init__(
        self,
        settings: Any = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        """Create a sampler over a pool of `num_prompts` prompts.

        Args:
            settings: Of the sampler's own class of settings; None: the defaults.
            num_prompts: Size of the pool.
            seed: Seed of the sampler's own generator.
            prompt_ids: One unique id a prompt, or None.
            features: What is known of the prompts beforehand, or None.
        """
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or self.settings_class()
        """Settings that this sampler was made with."""
        self._features = features
        self._values = self._blank()
        self._picked = np.zeros(0, dtype=np.int64)

    @property
    def uses_logprobs(self) -> bool:
        """Whether token log-probabilities are needed: only if the setting `coherence` is on."""
        return bool(self.settings.coherence)

    def given_up(self) -> NDArray[np.int64]:
        """Return the prompts whose label or verifier looks wrong, the most suspect first."""
        return self._values.given_up()

    def predicted(self, indices: NDArray[np.int64]) -> tuple[Any, Any]:
        """Return mean and variance of the log-odds of the pass rates of the prompts `indices`."""
        return self._values.belief.predicted(indices, self._values.age(indices))

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics of the belief, its log loss, and the share of prompts held noisy."""
        return self._values.metrics(self._picked)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        self._values.learn(groups)

    def _blank(self) -> PromptValues:
        settings = self.settings
        return PromptValues(
            self.num_prompts,
            self._features,
            self._clock,
            shared=settings.shared,
            prior_variance=settings.prior_variance,
            drift=settings.drift,
            detectors={
                "coherence": settings.coherence,
                "agreement": settings.agreement,
                "inert_guard": settings.inert_guard,
            },
        )

    def _state(self) -> dict[str, Any]:
        return {**self._values.state(), **super()._state()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        values = self._blank()
        values.restore(
            state,
            lambda name, dtype, missing: self._carried(
                state, name, origin, dtype=dtype, missing=missing
            ),
            same_pool=origin is None,
        )
        super()._restore(state, origin)
        values.follow(self._clock)
        self._values = values
