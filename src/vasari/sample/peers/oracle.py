"""The sampler "oracle", for benchmarks: draws by the true pass rates of the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.bounds import Bounds, Positive, check_fields
from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.features import PoolFeatures
from vasari.sample.weighted import gumbel_top
from vasari.score.value import GroupValue, group_value

OracleValue = Literal["variance", GroupValue]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSettings:
    """Settings of the sampler "oracle"."""

    value: OracleValue = "variance"
    """"variance" is p (1 - p); the others are `score.value.group_value` of a group: "std", "var",
    "mix", "knap"."""
    num_rollouts: Annotated[int, Bounds(least=2)] = 8
    """Number of rollouts n in a group's value; "variance" does not depend on it."""
    sharpness: Positive = 1.0
    """eta, above 0: prompts are drawn in proportion to value^eta; towards 0 evenly, large is
    greedy."""

    def __post_init__(self) -> None:
        check_fields(self)


@final
class OracleSampler(PromptSampler):
    """Sampler for benchmarks that draws prompts by a group's training value at the true pass rate.

    Draws are without replacement, in proportion to `value(p)^eta` with eta = `sharpness`.
    The pass rates are given as `features.pass_rates` and change by `update_pass_rates` only, e.g.
    by rollouts that a benchmark does not charge; what the sampler observes teaches it nothing. A
    prompt known to be noise gets pass rate 0: like every prompt of value 0 it is drawn only when
    the others run out. Draws are Gumbel top-k on `eta log value`, so that first picks are in exact
    proportion.
    """

    name: ClassVar[str] = "oracle"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"pass_rates": np.nan}

    def __init__(
        self,
        settings: OracleSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        """Create a sampler over a pool; `features` must hold the true pass rates.

        Raises:
            ConfigError: No pass rates. A pool of one prompt, with which recipes are checked, needs
                none.
            DataError: The pass rates are of another pool, or one is unknown.
        """
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or OracleSettings()
        """Settings that this sampler was made with."""
        if features is None or not len(features.pass_rates):
            if self.num_prompts > 1:
                raise ConfigError(
                    "sampler 'oracle' needs the true pass rates: pass"
                    " features=PoolFeatures(pass_rates=...); it is for benchmarks, where they are"
                    " known"
                )
            self.update_pass_rates(np.full(self.num_prompts, 0.5))
        else:
            self.update_pass_rates(features.pass_rates)

    def update_pass_rates(self, pass_rates: ArrayLike) -> None:
        """Set the true pass rate of every prompt to that of the present policy.

        Args:
            pass_rates: [prompts] in [0, 1]; 0 for a prompt that is known to be noise.

        Raises:
            DataError: Not one number in [0, 1] a prompt; nothing has changed then.
        """
        rates = np.array(pass_rates, dtype=np.float64)
        if rates.shape != (self.num_prompts,):
            raise DataError(f"pass rates of shape {rates.shape} for {self.num_prompts} prompts")
        if not ((rates >= 0) & (rates <= 1)).all():
            raise DataError("pass rates must be in [0, 1], and an oracle knows each of them")
        self._pass_rates = rates
        self._log_weights = self._logarithms(self.values())

    def values(self) -> NDArray[np.float64]:
        """Return the training value of each prompt's next group: [prompts], at least 0."""
        if self.settings.value == "variance":
            return self._pass_rates * (1.0 - self._pass_rates)
        return group_value(self._pass_rates, self.settings.num_rollouts, self.settings.value)

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: mean pass rate, mean training value, share of values above 0."""
        values = self.values()
        return {
            "sampler/pass_rate_mean": float(self._pass_rates.mean()),
            "sampler/value_mean": float(values.mean()),
            "sampler/valued_share": float((values > 0).mean()),
        }

    def _logarithms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        positive = values > 0
        logarithms = np.log(values, out=np.full(len(values), -np.inf), where=positive)
        logarithms[positive] *= self.settings.sharpness
        return logarithms

    def _draw(self, num_prompts: int) -> Draw:
        return draw_of(promoted=gumbel_top(self._rng, self._log_weights, num_prompts))

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        pass

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        rates = self._read(state, origin)["pass_rates"]
        if origin is not None:
            rates = np.where(origin >= 0, rates, self._pass_rates)
        try:
            self.update_pass_rates(rates)
        except DataError as error:
            raise StateError(f"saved pass rates are damaged: {error}") from error
